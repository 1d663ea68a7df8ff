"""The drawings of the pages are made from the code, and say so when they no longer fit it."""

from __future__ import annotations

import sys
from types import ModuleType
from xml.etree import ElementTree

import pytest

from .kit import ROOT


@pytest.fixture(scope="module")
def states() -> ModuleType:
    return _extension("states")


@pytest.fixture(scope="module")
def modules() -> ModuleType:
    return _extension("modules")


def _extension(name: str) -> ModuleType:
    folder = str(ROOT / "docs" / "_ext")
    sys.path[:0] = [folder, str(ROOT)]
    try:
        return __import__(name)
    finally:
        del sys.path[:2]


def test_the_states_are_drawn(states: ModuleType) -> None:
    """All of them, as well-formed SVG, with an arrow for each transition that has a label."""
    drawing = ElementTree.fromstring(states.diagram())
    text = " ".join(drawing.itertext())
    assert all(situation.title in text for situation in states.SITUATIONS.values())
    assert len([path for path in drawing.iter() if path.get("marker-end")]) == len(states.LAYOUT)


def test_a_transition_that_is_not_placed_is_an_error(states: ModuleType) -> None:
    """And so is one that the indicator does not make."""
    found = states.transitions()
    states.check(found)
    with pytest.raises(ValueError, match="does not place"):
        states.check({**found, ("settling", "waiting"): ["time"]})
    with pytest.raises(ValueError, match="does not make"):
        states.check({edge: inputs for edge, inputs in found.items() if edge != ("off", "starting")})


def test_the_transitions_are_those_of_the_indicator(states: ModuleType) -> None:
    """A few that one knows by heart."""
    found = states.transitions()
    assert "join" in found["off", "starting"]
    assert "204" in found["starting", "showing"]
    assert "time" in found["showing", "starting"]
    assert found["message", "settling"] == ["sent"]
    assert found["off", "stopping"] == ["failed"]


def test_every_transition_is_in_the_table(states: ModuleType) -> None:
    """The less common ones, too."""
    table = ElementTree.fromstring(states.table())
    assert len(list(table.iter("tr"))) == len(states.transitions()) + 1


def test_the_modules_are_drawn(modules: ModuleType) -> None:
    """Each module or package has a box; arrows go down."""
    drawing = ElementTree.fromstring(modules.diagram())
    text = " ".join(drawing.itertext()).split()
    assert {"_engine", "_core", "_manager", "sandbox"} <= set(text)
    graph = modules.graph()
    depth = modules.depths(graph)
    assert all(depth[box] < depth[other] for box, others in graph.items() for other in others)


def test_arrows_that_follow_from_others_are_left_out(modules: ModuleType) -> None:
    """A to B to C, and not A to C."""
    assert modules.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
