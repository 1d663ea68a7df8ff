"""The proof is worth what it can catch: bugs are planted in the machine, and each must be noticed."""

import pytest

from linq_typing._core import indicator as _indicator

from .mutants import LAYERS, MUTANTS, Mutant, caught_by, planted

PINNED = {name: LAYERS[name] for name in ("races", "table")}
SEARCHING = {name: LAYERS[name] for name in ("walks", "stories")}


def test_the_bugs_are_distinct() -> None:
    """Each is planted once, under its own name."""
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS) >= 14
    assert len({(mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
def test_the_sound_machine_passes_every_layer() -> None:
    """Or else it would prove nothing that a mutant does not; the source is compiled in the same way."""
    sound = Mutant("none", "class Indicator:", "class Indicator:")
    assert planted(sound).Indicator is not _indicator.Indicator
    assert list(caught_by(sound, LAYERS)) == []


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_is_caught(mutant: Mutant) -> None:
    """By a case that says what it is about, and by a search that knew nothing of it."""
    assert next(caught_by(mutant, PINNED), None), "no race and no cell of the table notices"
    assert next(caught_by(mutant, SEARCHING), None), "no walk and no story notices"
