"""The demo as it is played."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from demo_timelines import request, timeline, view
from rich.console import Console

from linq_typing import cli
from linq_typing.demo import _evening, _messenger, _scenes, _shows, _theatre
from linq_typing.demo._stage import Stage
from linq_typing.sandbox import Request, Sandbox

WITH_BLOCK, STREAMING, API_DOWN, BLOCKED = _scenes.SCENES
QUICK = replace(WITH_BLOCK, play=lambda stage: stage.work(1), lasts=1)
ONE_QUICK_SCENE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background process doesn't have
from dataclasses import replace
from linq_typing.cli import main
from linq_typing.demo import _scenes
_scenes.SCENES = (replace(_scenes.SCENES[1], speed=10),)
sys.exit(main(["demo", "--fast"]))
"""


class Recorded(Sandbox):
    """A sandbox that can be found again."""

    latest: Sandbox

    def __enter__(self) -> Sandbox:
        Recorded.latest = self
        return super().__enter__()


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
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "linq_typing", "demo", "--fast"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield demo
    demo.kill()
    demo.communicate()


@pytest.fixture(scope="module")
def played(process: subprocess.Popen[str]) -> tuple[int, str, tuple[Request, ...]]:
    """The demo in this process: its status, its output and the sandbox's log."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr(_evening, "Sandbox", Recorded)
        status = cli.main(["demo", "--fast"])
    return status, output.getvalue(), Recorded.latest.requests


@pytest.mark.slow
def test_the_summary_says_what_the_sandbox_was_asked(played: tuple[int, str, tuple[Request, ...]]) -> None:
    status, output, log = played
    assert status == 0
    rows = rows_of(output)
    check_sums(rows)
    for chat_id, row in zip(dict.fromkeys(one.chat_id for one in log), rows.values(), strict=False):
        asked = Counter(one.endpoint for one in log if one.chat_id == chat_id)
        requests, starts, refreshes, retries, stops, messages = row
        assert (starts + refreshes + retries, stops, messages) == (asked["start"], asked["stop"], asked["send"])
        assert requests == asked.total()
    assert rows["total"][0] == len(log)


@pytest.mark.slow
def test_each_scene_shows_what_it_is_about(played: tuple[int, str, tuple[Request, ...]]) -> None:
    rows = rows_of(played[1])
    _, starts, refreshes, retries, stops, messages = zip(*rows.values(), strict=True)
    assert starts[:4] == (1, 1, 1, 1)
    assert (stops[:4], messages[:4]) == ((1, 0, 1, 1), (0, 1, 0, 0))
    assert retries[:4] == (0, 0, 2, 0)
    assert refreshes[0] >= 1
    assert refreshes[3] >= 1


@pytest.mark.slow
def test_every_request_has_a_line(played: tuple[int, str, tuple[Request, ...]]) -> None:
    _, output, log = played
    shown = re.findall(r"^ +[\d.]+ s  \w+ +(\d+)", output, re.MULTILINE)
    assert [int(status) for status in shown] == [one.status for one in log]
    assert output.count("Scene ") == len(_scenes.SCENES)


@pytest.mark.slow
def test_the_command_outside_a_terminal(process: subprocess.Popen[str]) -> None:
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.isascii()
    assert "\x1b" not in output
    assert "\r" not in output
    check_sums(rows_of(output))


def leave_a_ghost(stage: Stage) -> None:
    headers = {"Authorization": f"Bearer {stage.linq.api_key}"}
    httpx.post(f"{stage.linq.base_url}/v3/chats/{stage.chat_id}/typing", headers=headers, verify=False)


@pytest.mark.parametrize(("speed", "patience"), [(1, 0.3), (50, 10.0)], ids=["still showing", "run out by itself"])
def test_a_ghost_is_told_and_ends_in_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], speed: float, patience: float
) -> None:
    monkeypatch.setattr(_theatre, "PATIENCE", patience)
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=leave_a_ghost, speed=speed, top_speed=speed),))
    assert cli.main(["demo", "--fast"]) == 1
    output = capsys.readouterr().out
    assert "A ghost was left by: A with-block" in output
    assert "YES" in output


def test_without_the_sdk_the_message_goes_through_httpx(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_messenger, "has_sdk", lambda: False)
    monkeypatch.setattr(_scenes, "SCENES", (replace(STREAMING, speed=20),))
    assert cli.main(["demo", "--fast"]) == 0
    assert rows_of(capsys.readouterr().out)["streaming reply"] == [2, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("module", [None, logging], ids=["not installed", "another package of that name"])
def test_whether_the_sdk_is_there(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    assert _messenger.has_sdk()
    monkeypatch.setitem(sys.modules, "linq", module)
    assert not _messenger.has_sdk()


def test_the_environment_neither_matters_nor_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=WITH_BLOCK.play, speed=200),))
    for name in ("HTTP_PROXY", "ALL_PROXY", "LINQ_API_V3_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("LINQ_TYPING_ENABLED", "0")
    before, handlers = dict(os.environ), list(logging.getLogger("linq_typing").handlers)
    assert cli.main(["demo", "--fast"]) == 0
    assert rows_of(capsys.readouterr().out)["with-block"][0] > 0
    assert (dict(os.environ), logging.getLogger("linq_typing").handlers) == (before, handlers)


def test_what_a_scene_raises_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, play=lambda stage: 1 / 0),))
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo", "--fast"])


def test_ctrl_c_ends_quietly() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", ONE_QUICK_SCENE.replace("speed=10", "speed=1")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    first = demo.stdout.readline()
    time.sleep(0.5)
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert "ghost" not in first + output
    assert errors.strip() == ""


def in_a_terminal(code: str, columns: int, lines: int, **environment: str) -> tuple[int, str]:
    """Run it in a terminal of that size; its status and all that it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as p:
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
    return p.returncode, written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_in_a_terminal_the_picture_moves_and_the_cursor_comes_back() -> None:
    status, written = in_a_terminal(ONE_QUICK_SCENE, 80, 24)
    assert status == 0
    assert written.count("their phone") > 5
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
    ("stdout", "term", "show"),
    [
        (Terminal, "xterm", _shows.MovingShow),
        (Terminal, "dumb", _shows.PlainShow),
        (AsciiTerminal, "xterm", _shows.PlainShow),
        (io.StringIO, "xterm", _shows.PlainShow),
    ],
)
def test_what_can_not_move_a_picture_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, stdout: type[io.StringIO], term: str, show: type
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout())
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(_shows.show_for_stdout(), show)


def test_plain_lines_tell_each_request_once_in_whatever_order_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    slow, quick = request("start", 0, None), request("send", 1, 202)
    moments = [
        timeline(),
        timeline(slow, quick),
        timeline(replace(slow, outcome="answered", status=204), quick),
    ]
    _shows.PlainShow(Console()).play((view(moment, ghost=False) for moment in moments), 1)
    assert re.findall(r" s  (\w+) +(\d+)", capsys.readouterr().out) == [("message", "202"), ("start", "204")]


def test_the_moving_picture_of_each_scene_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(_scenes, "SCENES", (replace(QUICK, speed=50), replace(QUICK, speed=50, name="Another")))
    assert cli.main(["demo", "--fast"]) == 0
    written = terminal.getvalue()
    assert written.index("A with-block") < written.index("Another") < written.index("No ghost was left")
