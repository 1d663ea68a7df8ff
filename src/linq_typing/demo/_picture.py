"""A `View` as a picture. Pure: nothing here reads a clock or writes anything.

Shapes tell everything; colours only repeat it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Final

from rich import box
from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from linq_typing.demo._account import Entry, Tally, entries, longest_gap, tally, within
from linq_typing.demo._theatre import CURTAIN, Report, View

WIDEST: Final = 100
NARROWEST_WITH_PHONE: Final = 68
PHONE_WIDTH: Final = 30
BODY_HEIGHT: Final = 11
LABEL_WIDTH: Final = 10

MARKS: Final = {"start": "▲", "refresh": "△", "retry": "▲", "stop": "▼", "message": "◆", "other": "·"}
FAILED: Final = "✗"
COLOURS: Final = {"▲": "green", "△": "cyan", "▼": "yellow", "◆": "blue", "✗": "red"}
PLAIN_LINES: Final = box.Box(str(box.SIMPLE).replace("─", "-"), ascii=True)
EFFECTS: Final = {"shown": "dots appear", "extended": "dots stay", "hidden": "dots go", "nothing": "no change"}


def draw(view: View, count: int, width: int) -> RenderableType:
    """The whole picture.

    Parameters:
        count: how many scenes there are.
        width: columns that there are.
    """
    width = min(width, WIDEST)
    parts = [_headline(view, count), _plot(view), _body(view, width), _band(view, width), _verdict(view)]
    table = Table.grid()
    table.add_column(width=width)
    for part in parts:
        table.add_row(part)
    return table


def _headline(view: View, count: int) -> RenderableType:
    speed = "real time" if view.speed == 1 else f"time ×{view.speed:g}"  # noqa: RUF001 - it is what is meant
    title = f"[bold]{view.number}/{count}  {view.scene.name}[/]  [dim]{speed}, {view.elapsed:.0f} s[/]"
    return Rule(title, align="left", style="dim")


def _plot(view: View) -> RenderableType:
    return Group(Text(view.scene.story), Text(view.scene.code, style="cyan"))


def _body(view: View, width: int) -> RenderableType:
    if width < NARROWEST_WITH_PHONE:
        return _requests(view, width)
    grid = Table.grid()
    grid.add_column(width=PHONE_WIDTH)
    grid.add_column(width=width - PHONE_WIDTH)
    grid.add_row(_phone(view), _requests(view, width - PHONE_WIDTH))
    return grid


# -- What the recipient sees


def _phone(view: View) -> RenderableType:
    timeline = view.timeline
    bubbles = [
        _bubble(Text(message.text), from_person=message.from_person)
        for message in timeline.messages
        if message.lands_at <= timeline.now
    ]
    if timeline.visible:
        bubbles.append(_bubble(_dots(view.elapsed / view.speed), from_person=False))
    return Panel(
        Group(*bubbles),
        title="their phone",
        subtitle=_remaining(view),
        box=box.HEAVY,
        height=BODY_HEIGHT,
        width=PHONE_WIDTH,
    )


def _bubble(content: Text, *, from_person: bool) -> RenderableType:
    style = "bright_blue" if from_person else "bright_black"
    width = min(content.cell_len + 4, PHONE_WIDTH - 6)
    bubble = Panel(content, box=box.ROUNDED, border_style=style, width=width)
    return Align(bubble, "right" if from_person else "left")


def _dots(seconds: float) -> Text:
    """Three dots, one of them swelling."""
    bright = int(seconds * 3) % 3
    return Text(" ").join(Text("●", "bold") if dot == bright else Text("•", "dim") for dot in range(3))


def _remaining(view: View) -> str:
    timeline = view.timeline
    if not timeline.visible:
        return "no dots"
    return f"dots for {timeline.showings[-1].expires_at - timeline.now:.0f} s more"


# -- What is asked of the API


def _requests(view: View, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", width=7)
    table.add_column(width=1)
    table.add_column(width=7)
    table.add_column(width=3)
    table.add_column(no_wrap=True)
    for entry in entries(view.timeline)[2 - BODY_HEIGHT :]:
        mark = mark_of(entry)
        table.add_row(
            f"{entry.request.received_at - view.began_at:.1f} s",
            Text(mark, COLOURS.get(mark, "")),
            entry.kind,
            Text(answer_of(entry), "" if entry.request.accepted else "red"),
            Text(note_on(entry, view), "dim"),
        )
    return Panel(
        table, title="what Linq is asked", border_style="dim", box=box.ROUNDED, height=BODY_HEIGHT, width=width
    )


def mark_of(entry: Entry) -> str:
    """The shape that stands for it."""
    request = entry.request
    return MARKS[entry.kind] if request.accepted or request.outcome == "pending" else FAILED


def answer_of(entry: Entry) -> str:
    """How it was answered: the status, or that there is none."""
    if entry.request.outcome == "pending":
        return "..."
    return str(entry.request.status or "---")


def note_on(entry: Entry, view: View) -> str:
    """What it did, in a few words."""
    request = entry.request
    after = f"{entry.waited:.1f} s later" if entry.kind == "retry" else ""
    if request.change == "message":
        landing = (m.lands_at for m in view.timeline.messages if m.accepted_at == request.effect_at)
        return f"lands {next(landing, 0.0) - request.received_at:.1f} s later"
    effect = EFFECTS.get(request.change or "", "")
    return ": ".join(filter(None, (after, effect)))


# -- Over time


def _band(view: View, width: int) -> RenderableType:
    scene = view.scene
    span = max(1.02 * (scene.lasts + CURTAIN * scene.speed), view.elapsed)
    columns = width - LABEL_WIDTH
    step = span / columns
    grid = Table.grid()
    grid.add_column(width=LABEL_WIDTH, style="dim")
    grid.add_column(width=columns)
    grid.add_row("dots", _showing(view, columns, step))
    grid.add_row("requests", _marks(view, columns, step))
    grid.add_row("your loop" if view.beats else "", _beating(view, columns, step))
    grid.add_row("", _axis(span, columns))
    return grid


def _showing(view: View, columns: int, step: float) -> Text:
    """A thick line while the dots show, a thin one while they don't, nothing yet for what is to come."""
    text = Text()
    for column in range(columns):
        middle = (column + 0.5) * step
        if middle > view.elapsed:
            break
        visible = view.timeline.visible_at(view.began_at + middle)
        text.append("━" if visible else "╌", "green" if visible else "dim")
    return text


def _marks(view: View, columns: int, step: float) -> Text:
    cells = [" "] * columns
    for entry in entries(view.timeline):
        column = int((entry.request.received_at - view.began_at) / step)
        cells[_free_from(cells, column)] = mark_of(entry)
    text = Text()
    for cell in cells:
        text.append(cell, COLOURS.get(cell, ""))
    return text


def _free_from(cells: Sequence[str], column: int) -> int:
    """The first free cell from that column on, so that neighbours don't cover each other; at worst the last."""
    last = len(cells) - 1
    return next((index for index in range(min(column, last), last) if cells[index] == " "), last)


def _beating(view: View, columns: int, step: float) -> Text:
    """A tick for each cell in which the caller's event loop ran."""
    if not view.beats:
        return Text()
    ran = {int((beat - view.began_at) / step) for beat in view.beats}
    past = min(columns, int(view.elapsed / step))
    text = Text("".join("╵" if column in ran else " " for column in range(past)), "magenta")
    since, until = (int((time - view.began_at) / step) for time in _blocked(view))
    if until - since > 20:
        label = "blocked"
        text = (
            text[: since + 2] + Text(f"{label:^{min(until, past) - since - 3}}", "dim") + text[min(until, past) - 1 :]
        )
    return text


def _axis(span: float, columns: int) -> Text:
    unit = next(unit for unit in (1, 2, 5, 10, 30, 60) if span / unit <= 6 or unit == 60)
    text = Text(style="dim")
    for second in range(0, int(span) + 1, unit):
        column = int(second / span * columns)
        text.pad_right(max(0, column - len(text)))
        text.append(f"{second} s")
    text.truncate(columns)
    return text


# -- What came of it


def _blocked(view: View) -> tuple[float, float]:
    # Once the scene is over its loop is at rest, and not blocked.
    now = view.timeline.now if view.elapsed < view.scene.lasts else view.beats[-1]
    return longest_gap(view.beats, now)


def _verdict(view: View) -> Group:
    """Two lines, whatever they say: the picture must not jump."""
    if view.ghost is None:
        draft = f"the model writes: {view.draft}" if view.draft else ""
        return Group(Text(draft, "dim", no_wrap=True, overflow="ellipsis"), "")
    if view.ghost:
        return Group(Text(f"{FAILED} A ghost: the dots were left showing, and nobody works.", "bold red"), "")
    return Group(Text(f"✓ No ghost. {cost(view)}", "green"), Text(f"  {lesson(view)}", "green"))


def cost(view: View) -> str:
    """What the scene took, in one sentence."""
    return f"Dots for {view.timeline.seconds_visible:.0f} s with {counted(tally(view.timeline))}."


def lesson(view: View) -> str:
    """What is to be learnt from the scene, as far as it has come true; else empty."""
    done = tally(view.timeline)
    if done.messages and not done.stops:
        return "The message took the dots away: no stop was needed."
    if done.retries:
        return "The caller was not told, and did not wait."
    if view.beats:
        number = within(entries(view.timeline), "refresh", *_blocked(view))
        return f"Refreshes while the caller's loop was blocked: {number}."
    return ""


def counted(done: Tally) -> str:
    """`1 start, 2 refreshes and 1 stop`."""
    names = (
        (done.starts, "start", "starts"),
        (done.refreshes, "refresh", "refreshes"),
        (done.retries, "retry", "retries"),
        (done.stops, "stop", "stops"),
        (done.messages, "message", "messages"),
    )
    parts = [f"{number} {one if number == 1 else many}" for number, one, many in names if number]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:]))) or "no request"


def summary(reports: Sequence[Report], *, ascii_only: bool = False) -> RenderableType:
    """The table at the end."""
    table = Table(box=PLAIN_LINES if ascii_only else box.SIMPLE, padding=(0, 1, 0, 0), show_footer=True, pad_edge=False)
    total = sum((report.tally for report in reports), Tally())
    table.add_column("scene", "total")
    for field in fields(Tally):
        table.add_column(field.name, str(getattr(total, field.name)), justify="right")
    table.add_column("ghost", "YES" if any(report.ghost for report in reports) else "no")
    for report in reports:
        figures = map(str, astuple(report.tally))
        table.add_row(report.scene.short_name, *figures, "YES" if report.ghost else "no")
    return table
