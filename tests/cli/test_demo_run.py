"""The demo as it is played."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest
from rich.console import Console

from linq_typing import cli, typing_while
from linq_typing.cli.demo import _output, _redis, _runner, _scenes
from linq_typing.cli.demo._player import View
from linq_typing.cli.demo._scenes import Stage
from patience import PATIENCE

from .kit import read_terminal, signals

WITH_BLOCK, STREAMING, API_DOWN, BLOCKED = _scenes.SCENES[:4]
QUICK = replace(WITH_BLOCK, play=lambda stage: stage.work(1), lasts=1)
ONE_QUICK_SCENE = """
import sys
from dataclasses import replace
from linq_typing.cli import main
from linq_typing.cli.demo import _scenes
_scenes.SCENES = (replace(_scenes.SCENES[1], speed=10),)
sys.exit(main(["demo", "--fast"]))
"""
ENDLESS_SCENE = """
import os, sys, threading
from dataclasses import replace
from linq_typing import typing_while
from linq_typing.cli import main
from linq_typing.cli.demo import _scenes

def play(stage):
    with typing_while(stage.chat_id):
        os.write(1, b"working\\n")  # in one piece: the demo prints its heading at the same time
        threading.Event().wait()

_scenes.SCENES = (replace(_scenes.SCENES[0], play=play),)
sys.exit(main(["demo"]))
"""


def rows_of(output: str) -> dict[str, list[int]]:
    """The figures of the summary, by scene."""
    found = re.findall(r"^ (\S[\w -]*?\S) +((?:\d+ +){6})(no|YES)", output, re.MULTILINE)
    return {name: [int(figure) for figure in figures.split()] for name, figures, _ in found}


def check_sums(rows: dict[str, list[int]]) -> None:
    """Every row adds up, and so does the total."""
    assert list(rows) == [*(scene.short_name for scene in _scenes.SCENES), "total"]
    total = rows["total"]
    assert total == [sum(column) for column in zip(*(row for row in rows.values() if row is not total), strict=True)]
    assert all(row[0] == sum(row[1:]) for row in rows.values())


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    """The command, which plays while the tests do."""
    command = [sys.executable, "-W", "error", "-m", "linq_typing", "demo", "--fast"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield demo
    demo.kill()
    demo.communicate()


@pytest.fixture(scope="module")
def played(process: subprocess.Popen[str]) -> tuple[int, str, list[View]]:
    """The demo in this process: its status, its output and the last views of its scenes."""
    output, last_views = io.StringIO(), []

    def show_scene(console: Console, views: Iterator[View]) -> View:
        last_views.append(_output.show_scene(console, views))
        return last_views[-1]

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr(_runner, "show_scene", show_scene)
        status = cli.main(["demo", "--fast"])
    return status, output.getvalue(), last_views


@pytest.mark.slow
def test_the_summary_says_what_the_sandbox_was_asked(played: tuple[int, str, list[View]]) -> None:
    status, output, last_views = played
    assert status == 0
    rows = rows_of(output)
    check_sums(rows)
    for view, row in zip(last_views, rows.values(), strict=False):
        asked = Counter(request.endpoint for request in view.timeline.requests)
        requests, starts, refreshes, retries, stops, messages = row
        assert (starts + refreshes + retries, stops, messages) == (asked["start"], asked["stop"], asked["send"])
        assert requests == asked.total()


@pytest.mark.slow
def test_each_scene_shows_what_it_is_about(played: tuple[int, str, list[View]]) -> None:
    rows = rows_of(played[1])
    _, starts, refreshes, retries, stops, messages = zip(*rows.values(), strict=True)
    assert starts[:4] == (1, 1, 1, 1)
    assert (stops[:4], messages[:4]) == ((1, 0, 1, 1), (0, 1, 0, 0))
    assert retries[:4] == (0, 0, 2, 0)
    assert refreshes[0] >= 1
    assert refreshes[3] >= 1


@pytest.mark.slow
@pytest.mark.skipif(_scenes.REDIS is None, reason="no Redis server here")
def test_the_indicator_of_a_killed_process_is_stopped(played: tuple[int, str, list[View]]) -> None:
    timeline = played[2][4].timeline
    assert timeline.stops
    assert not timeline.visible


def test_without_redis_the_demo_says_what_was_left_out() -> None:
    program = "import sys; sys.modules['redis'] = None; from linq_typing.cli.demo import _scenes as s"
    program += "; print(len(s.SCENES), s.NO_REDIS)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.startswith("4 A scene with several processes was left out")


@pytest.mark.skipif(_scenes.REDIS is None, reason="no Redis server here")
def test_the_redis_server_of_a_killed_demo_ends() -> None:
    program = "import sys, time; from linq_typing.cli.demo import _redis\n"
    program += "with _redis.server(sys.argv[1]) as url: print(url, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", program, str(_scenes.REDIS)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    path = demo.stdout.readline().strip().removeprefix("unix://")
    demo.kill()
    assert demo.communicate(timeout=PATIENCE) == ("", ""), "somebody still has its pipes"
    deadline = time.monotonic() + PATIENCE
    while listens(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_redis_server_that_does_not_start_is_told_at_once() -> None:
    with pytest.raises(RuntimeError, match="false ended with status 1"), _redis.server("false"):
        pass


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


@pytest.mark.slow
def test_the_timeline_of_each_scene_is_printed(played: tuple[int, str, list[View]]) -> None:
    _, output, last_views = played
    assert len(last_views) == len(_scenes.SCENES)
    assert all(str(view.timeline) in output for view in last_views)


@pytest.mark.slow
def test_the_command_outside_a_terminal(process: subprocess.Popen[str]) -> None:
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert output.isascii()
    assert "\x1b" not in output
    assert "\r" not in output
    check_sums(rows_of(output))


def leave_a_ghost(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {stage.linq.api_key}"}
    url = f"{stage.linq.base_url}/v3/chats/{stage.chat_id}/typing"
    httpx.post(url, headers=headers, timeout=PATIENCE, verify=False)


def leave_a_ghost_until_it_times_out(stage: Stage) -> None:
    leave_a_ghost(stage)
    stage.linq.time_scale = 1000
    stage.linq.wait_until(lambda: not stage.linq.visible(stage.chat_id), PATIENCE)


@pytest.mark.parametrize("scene", [leave_a_ghost, leave_a_ghost_until_it_times_out])
def test_a_ghost_is_told_and_ends_in_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], scene: Callable[[Stage], None]
) -> None:
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=scene, speed=1, top_speed=1),))
    assert cli.main(["demo", "--fast"]) == 1
    output = capsys.readouterr().out
    assert "A ghost was left by: A with block" in output
    assert "YES" in output


def test_without_the_sdk_the_message_goes_through_httpx(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_scenes, "AsyncLinqAPIV3", None)
    monkeypatch.setattr(_scenes, "SCENES", (replace(STREAMING, speed=5),))
    assert cli.main(["demo", "--fast"]) == 0
    assert rows_of(capsys.readouterr().out)["streaming reply"] == [2, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("package", ["None", "logging"], ids=["not installed", "another package of that name"])
def test_without_the_sdk_the_scenes_say_so(package: str) -> None:
    program = f"import sys, logging; sys.modules['linq'] = {package}"
    program += "; from linq_typing.cli.demo import _scenes; print(_scenes.CLIENT)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "httpx (linq-python is not installed)\n"


def type_for_a_moment(stage: Stage) -> None:
    with typing_while(stage.chat_id):
        stage.linq.wait_until(lambda: stage.linq.visible(stage.chat_id), PATIENCE)


def test_the_environment_neither_matters_nor_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=type_for_a_moment, speed=1),))
    for name in ("HTTP_PROXY", "ALL_PROXY", "LINQ_API_V3_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("LINQ_API_V3_API_KEY", "no header")
    monkeypatch.setenv("LINQ_TYPING_ENABLED", "0")
    before, handlers = dict(os.environ), list(logging.getLogger("linq_typing").handlers)
    assert cli.main(["demo", "--fast"]) == 0
    assert rows_of(capsys.readouterr().out)["with block"][0] > 0
    assert (dict(os.environ), logging.getLogger("linq_typing").handlers) == (before, handlers)


def test_what_a_scene_raises_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=lambda stage: 1 / 0),))
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo", "--fast"])


def test_ctrl_c_ends_quietly() -> None:
    with signals(signal.SIG_DFL, "SIGINT"):
        demo = subprocess.Popen(
            [sys.executable, "-c", ENDLESS_SCENE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    assert demo.stdout is not None
    assert any(line.endswith("working\n") for line in iter(demo.stdout.readline, ""))
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, errors.strip()) == (130, "")
    assert "ghost" not in output


def in_a_terminal(code: str, columns: int, lines: int, **environment: str) -> tuple[int, str]:
    """Run it in a terminal of that size; its status and all that it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    environment = {**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as p:
        os.close(theirs)
        written = b"".join(iter(lambda: read_terminal(ours), b""))
        os.close(ours)
    return p.returncode, written.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_in_a_terminal_the_picture_moves_and_the_cursor_comes_back() -> None:
    status, written = in_a_terminal(ONE_QUICK_SCENE, 80, 24)
    assert status == 0
    assert written.count("their phone") > 1
    assert re.search(r"\x1b\[[0-9;]*3\dm", written)
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "No ghost was left" in written


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_no_color_is_respected() -> None:
    status, written = in_a_terminal(ONE_QUICK_SCENE, 120, 40, NO_COLOR="1")
    assert status == 0
    assert "their phone" in written
    assert not re.search(r"\x1b\[[0-9;]*[349]\dm", written)


class Terminal(io.StringIO):
    """What takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


class AsciiTerminal(Terminal):
    encoding = "ascii"


@pytest.mark.parametrize(
    ("stdout", "term", "moving"),
    [
        (Terminal, "xterm", True),
        (Terminal, "dumb", False),
        (AsciiTerminal, "xterm", False),
        (io.StringIO, "xterm", False),
    ],
)
def test_pictures_move_only_where_they_can(
    monkeypatch: pytest.MonkeyPatch, stdout: type[io.StringIO], term: str, moving: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert _output.is_moving(_output.console_of_stdout()) is moving


def test_the_moving_picture_of_each_scene_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_scenes, "SCENES", (QUICK, replace(QUICK, name="Another")))
    assert cli.main(["demo", "--fast"]) == 0
    written = terminal.getvalue()
    assert written.index("A with block") < written.index("Another") < written.index("No ghost was left")
