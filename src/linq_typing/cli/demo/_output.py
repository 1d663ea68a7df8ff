"""Shows the scenes: as moving pictures in a terminal, as plain ASCII lines elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.live import Live

from linq_typing.cli.demo._picture import draw, result, summary
from linq_typing.cli.demo._player import View


def console_of_stdout() -> Console:
    """The console of the present standard output."""
    return Console(highlight=False, emoji=False, force_terminal=sys.stdout.isatty())


def is_moving(console: Console) -> bool:
    """Whether pictures can move there."""
    return console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only


def show_scene(console: Console, views: Iterator[View]) -> View:
    """Show one scene while it is played. Returns its last view."""
    view = next(views)
    if is_moving(console):
        with Live(draw(view, console.width), console=console, auto_refresh=False) as live:
            for view in views:
                live.update(draw(view, console.width), refresh=True)
    else:
        print(f"Scene {view.number}: {view.scene.name} (time x{view.speed:g})\n{view.scene.story}", flush=True)
        [view] = deque(views, maxlen=1)
        print(f"{view.timeline}\n{' '.join(result(view))}", flush=True)
    console.line()
    return view


def show_results(console: Console, last_views: Sequence[View]) -> None:
    """Show the result of the whole demo."""
    console.print(summary(last_views, ascii_only=not is_moving(console)))
    ghosts = [view.scene.name for view in last_views if view.ghost]
    if ghosts:
        console.print(f"A ghost was left by: {'; '.join(ghosts)}.")
    else:
        console.print("No ghost was left: no indicator shows while its bot is idle.")
