"""The whole demo: every scene, one after the other, and what came of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from unittest import mock

from linq_typing.demo import _scenes
from linq_typing.demo._shows import show_for_stdout
from linq_typing.demo._theatre import Performance
from linq_typing.sandbox import Sandbox


def run(pace: float) -> int:
    """Play all scenes, `pace` times as fast as usual. Returns the exit status: 1 when a ghost was left."""
    show, performances = show_for_stdout(), []
    with _undisturbed(), Sandbox() as linq:
        for number, scene in enumerate(_scenes.SCENES, 1):
            performance = Performance(scene, number, linq, pace)
            performances.append(performance)
            with closing(performance.views()) as views:
                show.play(views, len(_scenes.SCENES))
        reports = [performance.report() for performance in performances]
    show.end(reports)
    return int(any(report.ghost for report in reports))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No proxy between here and the sandbox, and no log lines across the picture; afterwards all is as before."""
    logger = logging.getLogger("linq_typing")
    no_proxy = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with mock.patch.dict(os.environ, no_proxy), mock.patch.object(logger, "disabled", True):
        yield
