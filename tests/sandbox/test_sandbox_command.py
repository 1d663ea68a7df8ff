"""`linq-typing sandbox` as a process: what it prints, how it ends."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from linq_typing.cli import main
from linq_typing.sandbox import Sandbox, _server
from patience import PATIENCE
from ports import reserved_port


class Running:
    """The command, and what it has printed up to the line with curl."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.lines: list[str] = []
        for line in process.stdout:
            self.lines.append(line)
            if line.startswith("curl"):
                break
        self.out = "".join(self.lines)
        self.env = dict(re.findall(r"^export (\w+)=(.*)$", self.out, re.MULTILINE))

    @property
    def url(self) -> str:
        return self.env["LINQ_API_V3_BASE_URL"].removesuffix("api/partner")


@contextmanager
def running(*options: str) -> Iterator[Running]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("LINQ_")}
    command = [sys.executable, "-m", "linq_typing", "sandbox", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


def test_prints_what_to_export_a_chat_and_a_curl_that_works_and_ends_quietly() -> None:
    with running() as sandbox:
        assert list(sandbox.env) == ["LINQ_API_V3_API_KEY", "LINQ_API_V3_BASE_URL"]
        assert f"Open {sandbox.url} " in sandbox.out
        assert '$env:LINQ_API_V3_API_KEY="sandbox-key"' in sandbox.out
        words = shlex.split(sandbox.lines[-1])
        chat = re.search(r"A chat to type in: (\S+)", sandbox.out)
        assert chat is not None
        assert chat[1] in words[-1]
        name, value = words[words.index("-H") + 1].split(": ")
        with httpx.Client(base_url=sandbox.url, timeout=PATIENCE) as http:
            assert http.request(words[words.index("-X") + 1], words[-1], headers={name: value}).status_code == 204
            assert "<title>" in http.get("/").text
            [shown] = [c for c in http.get("/sandbox/state").json()["chats"] if c["showing"]]
        assert shown["id"] == chat[1]
        sandbox.process.send_signal(signal.SIGINT)
        out, err = sandbox.process.communicate(timeout=PATIENCE)
        assert (sandbox.process.returncode, out, err) == (130, "", "")


def test_with_a_webhook_the_secret_is_printed_too() -> None:
    with running("--webhook", "http://127.0.0.1:9/webhook", "--webhook-version", "2025-01-01") as sandbox:
        assert sandbox.env["LINQ_WEBHOOK_SECRET"].startswith("whsec_")
        settings = httpx.get(f"{sandbox.url}sandbox/state", timeout=PATIENCE).json()["settings"][0]
        assert (settings["webhook"], settings["webhook_version"]) == ("http://127.0.0.1:9/webhook", "2025-01-01")


def test_a_port_that_is_taken_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["sandbox", "--port", str(taken.getsockname()[1])]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("linq-typing: cannot listen on 127.0.0.1:")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "99999"),
        ("--port", "x"),
        ("--time-scale", "0"),
        ("--time-scale", "nan"),
        ("--settle", "-1"),
        ("--shown-for", "-1"),
        ("--active-for", "nan"),
        ("--webhook", "nowhere"),
        ("--webhook-secret", "whsec_"),
        ("--webhook-version", "1999-01-01"),
        ("extra",),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(
    options: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "start", lambda _: pytest.fail("it would serve"))
    assert main(["sandbox", "--port", "0", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("linq-typing: ")
    assert err.count("\n") == 1


def test_an_interrupted_start_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it waits for the server: the address is free again."""
    with reserved_port() as port:
        linq, threads = Sandbox(port=port), set(threading.enumerate())
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(_server, "Future", _Interrupted)
            linq.start()
        assert linq.wait_until(lambda: set(threading.enumerate()) <= threads)  # the server has come up, and gone
        assert _refuses(port)
        with linq:
            assert httpx.get(linq.url, timeout=PATIENCE, verify=False).status_code == 200


class _Interrupted(Future):  # type: ignore[type-arg]
    """Raises the KeyboardInterrupt of a Ctrl-C in the first wait for it; the server comes up nevertheless."""

    _raised = False

    def result(self, timeout: float | None = None) -> Any:
        if not self._raised:
            self._raised = True
            raise KeyboardInterrupt
        return super().result(timeout)


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
