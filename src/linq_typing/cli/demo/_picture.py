"""Draws a view. Pure: reads no clock and writes nothing. Colours only repeat what the shapes say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from rich import box
from rich.align import Align
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.highlighter import RegexHighlighter
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from linq_typing.cli.demo._counts import PLURALS, Kind, count, in_words, kinds
from linq_typing.cli.demo._player import CURTAIN, View
from linq_typing.sandbox import Timeline

WIDEST: Final = 100
NARROWEST_WITH_PHONE: Final = 68
PHONE_WIDTH: Final = 30
BODY_HEIGHT: Final = 12
LOG_HEIGHT: Final = 6
LABEL_WIDTH: Final = 10

MARKS: Final[dict[Kind, str]] = {
    "start": "▲", "refresh": "△", "retry": "▲", "stop": "▼", "message": "◆", "other": "·",
}  # fmt: skip
FAILED: Final = "✗"
ASCII_LINES: Final = box.Box(str(box.SIMPLE).replace("─", "-"), ascii=True)


class Colours(RegexHighlighter):
    """The names of the groups are styles."""

    highlights = [  # noqa: RUF012 - as its base class has it
        r"(?P<green>[▲━]+|\[\.{3}])", r"(?P<cyan>△)", r"(?P<yellow>▼)", r"(?P<blue>◆)", r"(?P<red>✗| [45]\d\d )",
        r"(?P<magenta>╵+)", r"(?P<dim>╌+| \d+ s\b|#\d+|\bblocked\b)",
    ]  # fmt: skip


def draw(view: View, width: int) -> RenderableType:
    """The whole picture, for a terminal of that width."""
    width = min(width, WIDEST)
    speed = "real time" if view.speed == 1 else f"time ×{view.speed:g}"  # noqa: RUF001 - it is what is meant
    title = f"[bold]{view.number}  {view.scene.name}[/]  [dim]{speed}, {view.timeline.now:.0f} s[/]"
    parts = Rule(title, align="left", style="dim"), _body(view, width), _log(view.timeline), _band(view, width)
    return Constrain(Group(*parts), width)


def _body(view: View, width: int) -> RenderableType:
    if width < NARROWEST_WITH_PHONE:
        return _bot(view)
    grid = Table.grid()
    grid.add_column(width=PHONE_WIDTH)
    grid.add_column(width=width - PHONE_WIDTH)
    grid.add_row(_phone(view), _bot(view))
    return grid


def _phone(view: View) -> RenderableType:
    """What the recipient sees."""
    timeline = view.timeline
    landed = (message for message in timeline.messages if message.lands_at <= timeline.now)
    bubbles = [_bubble(Text(message.text), message.from_person) for message in landed]
    subtitle = "no indicator"
    if timeline.visible:
        bubbles.append(_bubble(_dots(timeline.now / view.speed), from_person=False))
        subtitle = f"{timeline.showings[-1].expires_at - timeline.now:.0f} s left"
    return Panel(Group(*bubbles), title="their phone", subtitle=subtitle, box=box.HEAVY, height=BODY_HEIGHT)


def _bubble(content: Text, from_person: bool) -> RenderableType:
    style = "bright_blue" if from_person else "bright_black"
    width = min(content.cell_len + 4, PHONE_WIDTH - 6)
    bubble = Panel(content, box=box.ROUNDED, border_style=style, width=width)
    return Align(bubble, "right" if from_person else "left")


def _dots(seconds: float) -> Text:
    """The indicator: three dots, one of them larger."""
    large = int(seconds * 3) % 3
    return Text(" ").join(Text("●", "bold") if dot == large else Text("•", "dim") for dot in range(3))


def _bot(view: View) -> RenderableType:
    """What happens, the code, and the result."""
    result_style = "" if view.ghost is None else "bold red" if view.ghost else "green"
    parts = (
        Text(view.scene.story),
        Text(f"\n{view.scene.code}\n", "cyan"),
        Text("\n".join(result(view)), result_style),
    )
    return Panel(Group(*parts), title="your bot", box=box.ROUNDED, border_style="dim", height=BODY_HEIGHT)


def _log(timeline: Timeline) -> Text:
    """The latest lines of the timeline."""
    _, *lines, _ = str(timeline).splitlines()
    latest = lines[-LOG_HEIGHT:]
    latest += [""] * (LOG_HEIGHT - len(latest))
    return Colours()(Text("\n".join(latest), no_wrap=True, overflow="ellipsis"))


def _band(view: View, width: int) -> Text:
    """The scene along an axis of time."""
    timeline, columns = view.timeline, width - LABEL_WIDTH
    span = max(1.02 * (view.scene.lasts + CURTAIN * view.scene.speed), timeline.now)
    middles = ((column + 0.5) * span / columns for column in range(columns))
    rows = (
        ("indicator", "".join("━" if timeline.visible_at(time) else "╌" for time in middles if time <= timeline.now)),
        ("requests", _marks(timeline, columns / span, columns)),
        ("your loop" if view.beats else "", _loop(view, columns / span, columns)),
        ("", _axis(span, columns)),
    )
    text = "\n".join(f"{label:{LABEL_WIDTH}}{row}" for label, row in rows)
    return Colours()(Text(text, no_wrap=True, overflow="crop"))


def _marks(timeline: Timeline, scale: float, columns: int) -> str:
    cells = [" "] * columns
    for kind, request in kinds(timeline):
        column = min(int(request.received_at * scale), columns - 1)
        free = next((cell for cell in range(column, columns) if cells[cell] == " "), column)
        cells[free] = MARKS[kind] if request.accepted or request.outcome == "pending" else FAILED
    return "".join(cells)


def _loop(view: View, scale: float, columns: int) -> str:
    """A tick for each cell in which the bot's event loop was running."""
    if not view.beats:
        return ""
    cells = [" "] * columns
    for beat in view.beats:
        cells[min(int(beat * scale), columns - 1)] = "╵"
    since, until = (int(time * scale) for time in _blocked(view))
    if until - since > 20:
        cells[since + 1 : until] = "blocked".center(until - since - 1)
    return "".join(cells)


def _blocked(view: View) -> tuple[float, float]:
    """The longest time between two beats; while the scene is played, also the time since the last beat."""
    times = (*view.beats, min(view.timeline.now, view.scene.lasts))
    return max(pairwise(times), key=lambda pair: pair[1] - pair[0])


def _axis(span: float, columns: int) -> str:
    unit = next((unit for unit in (1, 2, 5, 10, 30) if span / unit <= 6), 60)
    axis = ""
    for second in range(0, int(span) + 1, unit):
        axis = f"{axis.ljust(int(second / span * columns))}{second} s"
    return axis[:columns]


def result(view: View) -> Iterator[str]:
    """The result of the scene in sentences; until there is one, the model's draft."""
    if view.ghost is None:
        yield f"The model writes: {view.draft}" if view.draft else ""
        return
    counts = count(view.timeline)
    verdict = "A ghost was left showing." if view.ghost else "No ghost."
    yield f"{verdict} The indicator showed for {view.timeline.seconds_visible:.0f} s with {in_words(counts)}."
    if counts["message"] and not counts["stop"]:
        yield "The message cleared it: no stop was needed."
    if counts["retry"]:
        yield "Your code did not wait, and needed no change."
    if view.beats:
        since, until = _blocked(view)
        refreshes = [request for kind, request in kinds(view.timeline) if kind == "refresh"]
        blocked = sum(since < request.received_at < until for request in refreshes)
        yield f"Refreshes while the loop was blocked: {blocked}."


def summary(last_views: Sequence[View], *, ascii_only: bool = False) -> RenderableType:
    """The table at the end."""
    table = Table(box=ASCII_LINES if ascii_only else box.SIMPLE, padding=(0, 1, 0, 0), show_footer=True, pad_edge=False)
    counts = [count(view.timeline) for view in last_views]
    table.add_column("scene", "total")
    for name, total in zip(("requests", *PLURALS.values()), _figures(sum(counts, Counter[Kind]())), strict=True):
        table.add_column(name, total, justify="right")
    table.add_column("ghost", "YES" if any(view.ghost for view in last_views) else "no")
    for view, counted in zip(last_views, counts, strict=True):
        table.add_row(view.scene.short_name, *_figures(counted), "YES" if view.ghost else "no")
    return table


def _figures(counts: Counter[Kind]) -> tuple[str, ...]:
    return str(counts.total()), *(str(counts[kind]) for kind in PLURALS)
