"""Where the views of a scene go: a moving picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.console import Console
from rich.live import Live

from linq_typing.demo._account import entries
from linq_typing.demo._picture import answer_of, cost, draw, lesson, note_on, summary
from linq_typing.demo._theatre import Report, View


class Show(Protocol):
    """Somewhere to show the demo."""

    def play(self, views: Iterator[View], count: int) -> None:
        """Show one scene of so many, as it goes on."""
        ...

    def end(self, reports: Sequence[Report]) -> None:
        """Show what came of it all."""
        ...


def show_for_stdout() -> Show:
    """What suits the standard output."""
    console = Console(highlight=False, emoji=False, force_terminal=sys.stdout.isatty())
    moving = console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only
    return MovingShow(console) if moving else PlainShow(console)


class MovingShow:
    """A picture for each scene that moves while it is played, and stays."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def play(self, views: Iterator[View], count: int) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            for view in views:
                live.update(draw(view, count, self._console.width), refresh=True)
        self._console.line()

    def end(self, reports: Sequence[Report]) -> None:
        self._console.print(summary(reports))
        self._console.print(last_words(reports))


class PlainShow:
    """A line for each request, when it has been answered; ASCII, which every file and every log can take."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def play(self, views: Iterator[View], count: int) -> None:
        view = next(views)
        self._say(f"Scene {view.number} of {count}: {view.scene.name} (time x{view.speed:g})")
        self._say(f"  {view.scene.story}")
        said: set[int] = set()
        for view in views:
            self._say_what_ended(view, said)
        self._say(f"  {'A ghost was left.' if view.ghost else f'No ghost. {cost(view)} {lesson(view)}'.rstrip()}\n")

    def end(self, reports: Sequence[Report]) -> None:
        self._console.print(summary(reports, ascii_only=True))
        self._say(last_words(reports))

    def _say_what_ended(self, view: View, said: set[int]) -> None:
        """Requests may overlap, and end in another order than they came in: `said` holds their ids."""
        for entry in entries(view.timeline):
            if entry.request.outcome != "pending" and entry.request.id not in said:
                said.add(entry.request.id)
                at = entry.request.received_at - view.began_at
                self._say(f"  {at:7.1f} s  {entry.kind:7}  {answer_of(entry)}  {note_on(entry, view)}".rstrip())

    def _say(self, line: str) -> None:
        print(line, flush=True)


def last_words(reports: Sequence[Report]) -> str:
    """Whether all is well."""
    haunted = [report.scene.name for report in reports if report.ghost]
    if haunted:
        return f"A ghost was left by: {'; '.join(haunted)}."
    return "No ghost was left: nobody sees dots of a bot that does not type."
