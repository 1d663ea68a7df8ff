"""`linq-typing doctor`: what is used, whether it works, and if not, why and what to do."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest

from linq_typing._core.indicator import Outcome
from linq_typing.cli._answers import problem_of
from linq_typing.cli._probe import Probe
from linq_typing.errors import APIConnectionError, APIStatusError
from patience import PATIENCE

from .kit import Terminal

SECRET = "lk_live_0123456789abcdefghij"


@contextmanager
def web_site(status: int, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Something that is not Linq: it answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = b"<!doctype html><title>Welcome</title>"
            self.send_response(status)
            for name, value in {"Content-Type": "text/html", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_chat_that_works(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    done = terminal.run("doctor", chat, "--hold", "0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "key      *** (11 characters), from LINQ_API_V3_API_KEY"
    assert lines[1] == f"base     {terminal.linq.base_url}, from LINQ_API_V3_BASE_URL"
    assert lines[2].startswith("start    accepted (204, ")
    assert lines[3].startswith("stop     accepted (204, ")
    assert lines[4] == "chat     iMessage"
    assert "All is well." in done.stdout
    assert "5 minutes" in done.stdout
    assert terminal.asked(chat) == ["start", "stop", "get"]


def test_the_indicator_is_held_for_a_look_and_ctrl_c_takes_it_down(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    with terminal.spawn("doctor", chat, "--hold", "60") as process:
        terminal.wait_until_visible(chat)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert not terminal.linq.visible(chat)


def test_without_a_chat_the_key_is_tried_and_nothing_changed(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    done = terminal.main("doctor")
    assert done.returncode == 0
    assert "the API answers, and knows the key" in done.stdout
    assert "linq-typing doctor CHAT_ID" in done.stdout
    assert terminal.asked(chat) == []
    assert [request.endpoint for request in terminal.linq.requests] == ["stop"]


@pytest.mark.parametrize("with_chat", [True, False])
def test_a_bad_key_is_told_and_masked(terminal: Terminal, with_chat: bool) -> None:
    chat = (terminal.linq.chat(),) if with_chat else ()
    done = terminal.main("doctor", *chat, env={"LINQ_API_V3_API_KEY": SECRET})
    assert done.returncode == 1
    assert "key      lk_l...ghij (28 characters), from LINQ_API_V3_API_KEY" in done.stdout
    assert "Problem: Linq does not know this key." in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_the_variable_that_is_used_is_named(terminal: Terminal) -> None:
    key = terminal.linq.api_key
    done = terminal.main("doctor", env={"LINQ_API_V3_API_KEY": None, "LINQ_API_KEY": key})
    assert (done.returncode, "from LINQ_API_KEY\n" in done.stdout) == (0, True)
    done = terminal.main("doctor", env={"LINQ_API_V3_API_KEY": key, "LINQ_API_KEY": SECRET})
    assert (done.returncode, "LINQ_API_KEY holds another key, which is not used" in done.stdout) == (0, True)
    assert SECRET not in done.stdout


def test_a_group_chat_that_is_refused(terminal: Terminal) -> None:
    group = terminal.linq.group(typing_allowed=False)
    done = terminal.main("doctor", group)
    assert done.returncode == 1
    assert "it is a group chat on an older deployment" in done.stdout
    assert terminal.asked(group) == ["start"]


def test_a_group_chat_that_is_accepted(terminal: Terminal) -> None:
    done = terminal.main("doctor", terminal.linq.group(), "--hold", "0")
    assert (done.returncode, "chat     iMessage, a group" in done.stdout) == (0, True)


def test_sms_is_accepted_and_shows_nothing(terminal: Terminal) -> None:
    done = terminal.main("doctor", terminal.linq.sms(), "--hold", "0")
    assert done.returncode == 1
    assert "Problem: This chat uses SMS: requests succeed, but nothing is shown." in done.stdout


def test_an_unknown_chat(terminal: Terminal) -> None:
    done = terminal.main("doctor", str(uuid4()))
    assert done.returncode == 1
    assert "Problem: Linq has no such chat for this key: your number has left it" in done.stdout


def test_a_start_that_may_have_worked_is_stopped(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    terminal.linq.fail("start", 503, effect=True)
    done = terminal.main("doctor", chat)
    assert (done.returncode, "Problem: Linq has an internal error." in done.stdout) == (1, True)
    assert terminal.asked(chat) == ["start", "stop"]
    assert not terminal.linq.visible(chat)


def test_a_stop_that_fails_is_a_problem(terminal: Terminal) -> None:
    terminal.linq.fail("stop", 429, retry_after=7)
    done = terminal.main("doctor", terminal.linq.chat(), "--hold", "0")
    assert (done.returncode, "Problem: Too many requests" in done.stdout) == (1, True)


@pytest.mark.parametrize("status", [200, 404, 502])
@pytest.mark.parametrize("with_chat", [True, False])
def test_a_web_page_is_not_taken_for_the_api(terminal: Terminal, status: int, with_chat: bool) -> None:
    chat = (terminal.linq.chat(), "--hold", "0") if with_chat else ()
    with web_site(status) as url:
        done = terminal.main("doctor", *chat, env={"LINQ_API_V3_BASE_URL": url})
    assert done.returncode == 1
    assert f"a web page (HTTP {status}, " in done.stdout
    assert "Problem: A web page answered, not the Linq API" in done.stdout
    assert "<" not in done.stdout


def test_a_wrong_path_on_the_right_host(terminal: Terminal) -> None:
    url = terminal.linq.base_url.removesuffix("/partner")
    done = terminal.main("doctor", env={"LINQ_API_V3_BASE_URL": url})
    assert (done.returncode, "Problem: There is no Linq API at this address." in done.stdout) == (1, True)


def test_nothing_listens(terminal: Terminal) -> None:
    with socket.socket() as taken:  # bound, and not listening: nobody else can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        done = terminal.main("doctor", env={"LINQ_API_V3_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}"})
    assert (done.returncode, "Problem: Nothing listens on this address." in done.stdout) == (1, True)


def test_https_where_only_http_is_spoken(terminal: Terminal) -> None:
    url = terminal.linq.base_url.replace("http:", "https:")
    done = terminal.main("doctor", env={"LINQ_API_V3_BASE_URL": url})
    assert (done.returncode, "Problem: No secure connection" in done.stdout) == (1, True)


def test_one_json_object_for_a_script(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    env = {"LINQ_API_KEY": SECRET}
    done = terminal.main("doctor", chat, "--hold", "0", "--json", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    for request in ("start", "stop"):
        assert result.pop(request)["status"] == 204
    assert result == {
        "ok": True,
        "key": "*** (11 characters)",
        "key_from": "LINQ_API_V3_API_KEY",
        "unused_key": "LINQ_API_KEY",
        "base_url": terminal.linq.base_url,
        "base_url_from": "LINQ_API_V3_BASE_URL",
        "service": "iMessage",
        "is_group": False,
        "problem": None,
        "fix": None,
    }


def test_one_json_object_of_a_problem(terminal: Terminal) -> None:
    done = terminal.main("doctor", "--json", env={"LINQ_API_V3_API_KEY": SECRET})
    assert (done.returncode, done.stderr) == (1, "")
    result = json.loads(done.stdout)
    assert (result["ok"], result["problem"]) == (False, "Linq does not know this key.")
    assert result["request"]["status"] == 401


def test_the_chat_is_optional_in_help_and_plain_in_errors(terminal: Terminal) -> None:
    assert "Usage: linq-typing doctor [OPTIONS] [CHAT_ID]\n" in terminal.main("doctor", "--help").stdout
    assert "Invalid value for 'CHAT_ID': 'nope'" in terminal.main("doctor", "nope").stderr


def test_switched_off_is_a_problem(terminal: Terminal) -> None:
    done = terminal.main("doctor", env={"LINQ_TYPING_ENABLED": "0"})
    assert (done.returncode, "LINQ_TYPING_ENABLED switches typing indicators off" in done.stdout) == (1, True)


@pytest.mark.parametrize("arguments", [("nope",), ("--what",), ("a", "b"), ("--hold", "nan"), ("--hold", "long")])
def test_bad_arguments_get_one_line_and_status_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    done = terminal.main("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("linq-typing: ")
    assert done.stderr.count("\n") == 1


# -- The words alone


def refused(status: int, code: int | None = None) -> Probe:
    return Probe(Outcome.REFUSED, APIStatusError("told", status_code=status, code=code), status=status)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (refused(401, 2004), "does not know this key"),
        (refused(403), "forbids typing indicators in this chat"),
        (refused(403, 2006), "line of this chat is not eligible"),
        (refused(404, 2001), "no such chat for this key"),
        (refused(404), "no Linq API at this address"),
        (refused(409, 2009), "still being created"),
        (refused(409, 2013), "unavailable"),
        (refused(409, 2015), "present state"),
        (refused(422, 4005), "does not use iMessage"),
        (refused(429, 1007), "Too many requests"),
        (refused(408, 3005), "took too long"),
        (refused(500, 3006), "has an internal error"),
        (refused(301), "redirects to another address"),
        (refused(400, 1005), "refuses the request"),
        (Probe(Outcome.NOT_APPLIED, APIConnectionError("x"), cause=socket.gaierror()), "can't be found"),
        (Probe(Outcome.NOT_APPLIED, APIConnectionError("x"), cause=OSError()), "can't be reached"),
    ],
)
def test_every_answer_has_its_words(probe: Probe, words: str) -> None:
    problem = problem_of(probe)
    assert problem is not None
    assert words in problem.what
    assert problem.fix


def test_an_accepted_request_is_no_problem() -> None:
    assert problem_of(Probe(Outcome.ACCEPTED, None, status=204)) is None
