"""The charts of the pages: bars with their figures, drawn by matplotlib as SVG.

One file for light and for dark pages: no background, and colours in the middle. Letters stay letters, so that a test
reads them, and are large enough on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import hold, requests
from ._results import FOLDER, Measured, Results, figure
from .memory import THREADS

OURS, OTHERS, TEXT = "#2383e2", "#9aa3ad", "#7a7f86"
WIDTH = 5.0  # inches; its points become 480 pixels
NAMES = 1.2  # inches, left of the bars
ROOM = 1.5  # times the longest bar, for the figures beside it
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

    def reach(self, bar: Bar) -> float:
        """How far to the right it is drawn."""
        return max(bar.value, bar.floor or 0, self.limit or 0)


# -- What they show


def entering(results: Results) -> Chart:
    return Chart([_beside_peers(each) for each in results["enter"].measured if ", async" in each.what])


def memory(results: Results) -> Chart:
    return Chart([_beside_peers(each, without=(THREADS,)) for each in results["memory"].measured])


def blocked(results: Results) -> Chart:
    return Chart([_beside_peers(each) for each in results["first"].measured if "blocked" in each.what])


def rates(results: Results) -> Chart:
    """Only the points with enough connections, each beside the transport alone."""
    points = {str(point) for point in requests.POINTS if point.connections > requests.DEFAULT or not point.distance}
    groups = [
        Group(each.what, [_beside_floor(each, *names) for names in each.against.items()])
        for each in results["requests"].measured
        if each.what in points
    ]
    return Chart(groups, note="requests/s with linq-typing, of those that the transport makes alone (|)")


def held(results: Results) -> Chart:
    groups = [
        Group(each.what.split(":")[0], [Bar(name, each.median(name), each.shown(name), True) for name in each.values])
        for each in results["hold"].measured
        if hold.FIGURES["gap_max"][0] in each.what
    ]
    return Chart(groups, note=f"dashed: {hold.LONGEST_GAP:g} s, when the indicator fades", limit=hold.LONGEST_GAP)


def _beside_peers(measured: Measured, without: Collection[str] = ()) -> Group:
    names = sorted((name for name in measured.values if name not in without), key=measured.median)
    bars = [Bar(name, measured.median(name), measured.shown(name), name == "linq-typing") for name in names]
    return Group(measured.what, bars)


def _beside_floor(measured: Measured, name: str, floor: str) -> Bar:
    value, most = measured.median(name), measured.median(floor)
    return Bar(name, value, f"{figure(value)} of {figure(most)}", True, most)


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
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "linq-typing", "font.size": 10, "text.color": TEXT}):
        drawn = Figure(figsize=(WIDTH, height))
        drawn.patch.set_alpha(0)
        top = height
        for group in chart.groups:
            top -= TITLE
            drawn.text(0, (top + 0.08) / height, group.title)
            depth = BAR * len(group.bars)
            top -= depth
            axes = drawn.add_axes((NAMES / WIDTH, top / height, 1 - NAMES / WIDTH, depth / height))
            axes.set_axis_off()
            axes.set_xlim(0, ROOM * max(chart.reach(bar) for group in chart.groups for bar in group.bars))
            axes.set_ylim(len(group.bars) - 0.5, -0.5)
            if chart.limit is not None:
                axes.axvline(chart.limit, color=TEXT, linewidth=1.2, linestyle=(0, (3, 2)))
            for place, bar in enumerate(group.bars):
                _draw_bar(axes, place, bar, chart.reach(bar))
        if chart.note:
            drawn.text(1, 0.1 / height, chart.note, ha="right")
        drawn.savefig(path, metadata={"Date": None, "Creator": None})


def _draw_bar(axes: Any, place: int, bar: Bar, reach: float) -> None:
    near = {"textcoords": "offset points", "va": "center"}
    axes.barh(place, bar.value, height=0.72, color=OURS if bar.ours else OTHERS)
    axes.annotate(bar.name, (0, place), (-5, 0), ha="right", **near)
    axes.annotate(bar.text, (reach, place), (5, 0), **near)
    if bar.floor is not None:
        axes.plot([bar.floor] * 2, [place - 0.36, place + 0.36], color=TEXT, linewidth=2)
