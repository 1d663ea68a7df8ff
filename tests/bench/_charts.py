"""The charts of the pages: bars with their figures, drawn by matplotlib as SVG.

One file for light and for dark pages: no background, and colours in the middle. Letters stay letters, so that a test
reads them, and are large enough on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import hold, requests
from ._results import FOLDER, Measured, Results, figure

OURS, OTHERS, TEXT = "#2383e2", "#9aa3ad", "#7a7f86"
WIDTH = 5.0  # inches; its points become 480 pixels
NAMES = 1.2  # inches, left of the bars
BAR, TITLE, MARGIN = 0.25, 0.34, 0.05  # inches, from top to bottom


class Bar(NamedTuple):
    name: str
    value: float
    text: str
    ours: bool
    floor: float | None = None
    """Shown as a mark."""


class Group(NamedTuple):
    title: str
    bars: list[Bar]


class Chart(NamedTuple):
    groups: list[Group]
    note: str = ""
    limit: float | None = None
    """Shown as a line through all groups."""

    def texts(self) -> list[str]:
        """All that is written in it."""
        bars = [bar for group in self.groups for bar in group.bars]
        texts = [*(group.title for group in self.groups), *(bar.name for bar in bars), *(bar.text for bar in bars)]
        return [*texts, self.note] if self.note else texts


# -- What they show


def entering(results: Results) -> Chart:
    return Chart([_beside_peers(each, each.what) for each in results["enter"].measured if ", async" in each.what])


def memory(results: Results) -> Chart:
    return Chart([_beside_peers(each, each.what) for each in results["memory"].measured])


def blocked(results: Results) -> Chart:
    found = [each for each in results["first"].measured if "blocked" in each.what]
    return Chart([_beside_peers(each, each.what) for each in found])


def rates(results: Results) -> Chart:
    """The floor of each transport is a mark on its bar."""
    points = {str(point) for point in requests.POINTS if point.connections > requests.DEFAULT or not point.distance}
    groups = [
        Group(
            each.what,
            [
                Bar(name, each.median(name), each.shown(name), ours=True, floor=each.median(floor))
                for name, floor in each.against.items()
            ],
        )
        for each in results["requests"].measured
        if each.what in points
    ]
    return Chart(groups, note="| the transport alone")


def held(results: Results) -> Chart:
    found = [each for each in results["hold"].measured if hold.FIGURES["gap_max"][0] in each.what]
    groups = [
        Group(each.what, [Bar(name, each.median(name), each.shown(name), ours=True) for name in each.values])
        for each in found
    ]
    return Chart(groups, note=f"| {hold.LONGEST_GAP:g} s: the indicator fades", limit=hold.LONGEST_GAP)


def _beside_peers(measured: Measured, title: str) -> Group:
    names = sorted(measured.values, key=measured.median)
    return Group(
        title,
        [Bar(name, measured.median(name), measured.shown(name), ours=name == "linq-typing") for name in names],
    )


CHARTS: Mapping[str, Callable[[Results], Chart]] = {
    "entering": entering,
    "memory": memory,
    "blocked": blocked,
    "requests": rates,
    "held": held,
}


def write(results: Results) -> None:
    for name, made in CHARTS.items():
        draw(made(results), FOLDER / f"{name}.svg")


# -- How they are drawn


def draw(chart: Chart, path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure  # only here: it takes a second

    height = sum(TITLE + BAR * len(group.bars) for group in chart.groups) + (TITLE if chart.note else MARGIN)
    most = 1.25 * max(chart.limit or 0, *(max(bar.value, bar.floor or 0) for group in chart.groups for bar in group.bars))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "linq-typing", "font.size": 10, "text.color": TEXT}):
        drawn = Figure(figsize=(WIDTH, height))
        drawn.patch.set_alpha(0)
        top = height
        for group in chart.groups:
            top -= TITLE
            drawn.text(0, (top + 0.08) / height, group.title)
            depth = BAR * len(group.bars)
            top -= depth
            axes = drawn.add_axes((NAMES / WIDTH, top / height, 1 - NAMES / WIDTH, depth / height), xlim=(0, most))
            _draw_bars(axes, group.bars)
            if chart.limit is not None:
                axes.axvline(chart.limit, color=TEXT, linewidth=1.2, linestyle=(0, (3, 2)))
        if chart.note:
            drawn.text(1, 0.1 / height, chart.note, ha="right")
        drawn.savefig(path, metadata={"Date": None, "Creator": None})


def _draw_bars(axes: Any, bars: list[Bar]) -> None:
    places = range(len(bars))
    axes.set_axis_off()
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.barh(places, [bar.value for bar in bars], height=0.72, color=[OURS if bar.ours else OTHERS for bar in bars])
    near = {"textcoords": "offset points", "va": "center"}
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(bar.name, (0, place), (-5, 0), ha="right", **near)
        axes.annotate(bar.text, (max(bar.value, bar.floor or 0), place), (5, 0), **near)
        if bar.floor is not None:
            axes.plot([bar.floor] * 2, [place - 0.36, place + 0.36], color=TEXT, linewidth=2)
