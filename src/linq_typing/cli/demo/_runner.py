"""Runs the whole demo."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from unittest import mock

from linq_typing.cli.demo import _scenes
from linq_typing.cli.demo._output import console_of_stdout, show_results, show_scene
from linq_typing.cli.demo._player import play


def run(pace: float) -> int:
    """Play all scenes, `pace` times as fast as usual. Returns the exit status: 1 if a ghost was left."""
    console, last_views = console_of_stdout(), []
    logger = logging.getLogger("linq_typing")
    # The user's settings are not for the sandbox, and log lines would break the picture.
    settings = {name: value for name, value in os.environ.items() if not name.startswith("LINQ_")}
    with mock.patch.dict(os.environ, settings, clear=True), mock.patch.object(logger, "disabled", True):
        for number, scene in enumerate(_scenes.SCENES, 1):
            with closing(play(scene, f"{number}/{len(_scenes.SCENES)}", pace)) as views:
                last_views.append(show_scene(console, views))
    show_results(console, last_views)
    if _scenes.NO_REDIS:
        console.print(_scenes.NO_REDIS, markup=False)
    return int(any(view.ghost for view in last_views))
