"""`linq-typing start` and `linq-typing stop`: one request each, told in words."""

from __future__ import annotations

import json

import pytest

from .kit import Terminal


def test_start_then_stop(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    started = terminal.run("start", chat.upper())
    assert (started.returncode, started.stderr) == (0, "")
    assert started.stdout.startswith("Linq has accepted the start.")
    assert terminal.linq.visible(chat)
    stopped = terminal.run("stop", chat)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == "Linq has accepted the stop: no indicator shows in this chat now.\n"
    assert not terminal.linq.visible(chat)
    assert terminal.asked(chat) == ["start", "stop"]


@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_refusal_is_told_in_words(terminal: Terminal, command: str) -> None:
    group = terminal.linq.group(typing_allowed=False)
    done = terminal.main(command, group)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("linq-typing: HTTP 403, code 2005: ")
    assert "Linq allows no typing indicator in this chat" in done.stderr


def test_a_failure_is_not_tried_again(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    terminal.linq.fail("start", 503)
    done = terminal.main("start", chat)
    assert done.returncode == 1
    assert "Linq has an internal error." in done.stderr
    assert terminal.asked(chat) == ["start"]


@pytest.mark.parametrize("arguments", [("start",), ("start", "nope"), ("stop",), ("stop", "nope"), ("stop", "-x")])
def test_bad_arguments_get_one_line_and_status_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    done = terminal.main(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("linq-typing: ")
    assert done.stderr.count("\n") == 1


def test_switched_off_nothing_is_sent(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    done = terminal.main("start", chat, env={"LINQ_TYPING_ENABLED": "0", "LINQ_API_V3_API_KEY": None})
    assert (done.returncode, terminal.asked(chat)) == (0, [])
    assert done.stdout == "LINQ_TYPING_ENABLED switches typing indicators off: nothing was sent.\n"
    done = terminal.main("start", chat, "--json", env={"LINQ_TYPING_ENABLED": "0"})
    assert (done.returncode, terminal.asked(chat)) == (0, [])
    assert json.loads(done.stdout)["sent"] is False


@pytest.mark.parametrize("command", ["start", "stop"])
def test_one_json_object_for_a_script(terminal: Terminal, command: str) -> None:
    chat = terminal.linq.chat()
    done = terminal.main(command, chat, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result.pop("milliseconds") >= 0
    assert result == {
        "ok": True,
        "sent": True,
        "action": command,
        "chat_id": chat,
        "status": 204,
        "code": None,
        "trace_id": None,
        "error": None,
        "problem": None,
        "fix": None,
    }
    assert terminal.asked(chat) == [command]


def test_one_json_object_of_a_refusal(terminal: Terminal) -> None:
    done = terminal.main("start", terminal.linq.group(typing_allowed=False), "--json")
    assert (done.returncode, done.stderr) == (1, "")
    result = json.loads(done.stdout)
    assert (result["ok"], result["status"], result["code"]) == (False, 403, 2005)
    assert result["error"].startswith("HTTP 403, code 2005: ")
    assert result["problem"].startswith("Linq allows no typing indicator in this chat")
    assert result["fix"]
