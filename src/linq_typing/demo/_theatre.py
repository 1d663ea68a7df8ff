"""Plays a scene and tells, as it goes on, what there is to see."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final

from linq_typing import TypingManager
from linq_typing.demo._account import Tally, is_ghost, tally
from linq_typing.demo._stage import Scene, Stage
from linq_typing.sandbox import Sandbox, Timeline

FRAME: Final = 1 / 15
"""Real seconds between two views."""

CURTAIN: Final = 1.6
"""Real seconds for which a finished scene stays."""

PATIENCE: Final = 2.0
"""Real seconds after which an indicator that still shows is a ghost, on a busy machine too."""


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of a scene at one moment."""

    scene: Scene
    number: int
    speed: float
    timeline: Timeline
    began_at: float
    draft: str = ""
    beats: tuple[float, ...] = ()
    ghost: bool | None = None
    """Whether a ghost was left; None: too early to tell."""

    @property
    def elapsed(self) -> float:
        """Seconds since the scene began."""
        return self.timeline.now - self.began_at


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be said of a scene in the end."""

    scene: Scene
    tally: Tally
    seconds_visible: float
    ghost: bool


class Performance:
    """One performance of a scene.

    Parameters:
        number: the scene's, from 1.
        pace: how many times as fast as usual.
    """

    def __init__(self, scene: Scene, number: int, linq: Sandbox, pace: float) -> None:
        self._scene = scene
        self._number = number
        self._linq = linq
        self._pace = pace
        self._speed = min(scene.speed * pace, scene.top_speed)
        self._began_at = self._ended_at = 0.0
        self._chat_id = ""

    def views(self) -> Generator[View, None, None]:
        """Play it. The last view says whether a ghost was left."""
        linq = self._linq
        linq.time_scale = self._speed
        with _manager(linq, self._speed) as typing:
            self._chat_id = linq.chat()
            stage = Stage(self._chat_id, typing, linq, self._speed)
            linq.write(self._chat_id, self._scene.question)
            self._began_at = linq.now
            yield from self._work(stage)
            yield from self._settle(stage)
            yield self._view(stage, ghost=self._is_ghost())
        linq.clear_faults()

    def report(self) -> Report:
        """What came of it; to be asked for when all is over, which shows late ghosts too."""
        timeline = self._linq.timeline(self._chat_id)
        return Report(self._scene, tally(timeline), timeline.seconds_visible, self._is_ghost())

    def _work(self, stage: Stage) -> Iterator[View]:
        work = _on_a_thread(self._scene, stage)
        while not work.done():
            yield self._view(stage)
            wait([work], FRAME)
        self._ended_at = self._linq.now
        work.result()

    def _settle(self, stage: Stage) -> Iterator[View]:
        ended = time.monotonic()
        while (passed := time.monotonic() - ended) < CURTAIN / self._pace or (
            passed < PATIENCE and self._linq.visible(self._chat_id)
        ):
            yield self._view(stage)
            time.sleep(FRAME)

    def _is_ghost(self) -> bool:
        return is_ghost(self._linq.timeline(self._chat_id), self._ended_at)

    def _view(self, stage: Stage, ghost: bool | None = None) -> View:
        timeline = self._linq.timeline(self._chat_id)
        beats = tuple(stage.beats)
        return View(self._scene, self._number, self._speed, timeline, self._began_at, stage.draft, beats, ghost)


def _manager(linq: Sandbox, speed: float) -> TypingManager:
    """The library, with its defaults in the scene's time."""
    return TypingManager(
        api_key=linq.api_key,
        base_url=linq.base_url,
        enabled=True,
        stop_delay=0.5 / speed,
        refresh_interval=60 / speed,
        settle=3 / speed,
        max_duration=600 / speed,
    )


def _on_a_thread(scene: Scene, stage: Stage) -> Future[None]:
    """Play the scene, on an event loop if it needs one. A daemon thread: Ctrl-C doesn't wait for it."""
    done: Future[None] = Future()

    def play() -> None:
        try:
            result = scene.play(stage)
            if inspect.iscoroutine(result):
                asyncio.run(result, debug=False)  # else -X dev tells of a blocked loop, which is what is shown
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=play, name="linq-typing-demo", daemon=True).start()
    return done
