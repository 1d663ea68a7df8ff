"""Plays one scene."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final

from linq_typing.cli.demo._scenes import Scene, Stage
from linq_typing.sandbox import Sandbox, Timeline
from linq_typing.testing import GhostError, assert_no_ghost
from linq_typing.testing._sandbox import pointed_at_sandbox

FRAME: Final = 1 / 15
"""Real seconds from one view to the next."""

CURTAIN: Final = 1.6
"""Real seconds for which a scene is shown after its end."""


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of a scene at one moment."""

    scene: Scene
    number: str
    """As in `1/4`."""
    speed: float
    timeline: Timeline
    draft: str = ""
    beats: tuple[float, ...] = ()
    ghost: bool | None = None
    """Whether a ghost was left; None while the scene is played."""


def play(scene: Scene, number: str, pace: float) -> Generator[View, None, None]:
    """Play the scene, `pace` times as fast as usual. Only the last view says whether a ghost was left."""
    speed = min(scene.speed * pace, scene.top_speed)
    with pointed_at_sandbox(time_scale=speed) as linq:
        stage = Stage(linq.chat(), linq)
        linq.write(stage.chat_id, scene.question)

        def view(ghost: bool | None = None) -> View:
            timeline, beats = linq.timeline(stage.chat_id), tuple(stage.beats)
            return View(scene, number, speed, timeline, stage.draft, beats, ghost)

        work = _on_a_thread(scene, stage)
        while not work.done():
            yield view()
            wait([work], FRAME)
        work.result()
        curtain = time.monotonic() + CURTAIN / pace
        while time.monotonic() < curtain:
            yield view()
            time.sleep(FRAME)
        yield view(_leaves_ghost(linq))


def _leaves_ghost(linq: Sandbox) -> bool:
    try:
        assert_no_ghost(linq)
    except GhostError:
        return True
    return False


def _on_a_thread(scene: Scene, stage: Stage) -> Future[None]:
    """Play the scene on a daemon thread, so that Ctrl-C does not wait for it, and on an event loop if it needs one."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            result = scene.play(stage)
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="linq-typing-demo", daemon=True).start()
    return done
