"""`linq-typing start` and `linq-typing stop`: one request each, told in words."""

from __future__ import annotations

import pytest
from commands_kit import Terminal


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
    assert "Linq has trouble." in done.stderr
    assert terminal.asked(chat) == ["start"]


@pytest.mark.parametrize("arguments", [("start",), ("start", "nope"), ("stop",), ("stop", "nope"), ("stop", "-x")])
def test_bad_arguments_get_one_line_and_status_2(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    done = terminal.main(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("linq-typing: ")
    assert done.stderr.count("\n") == 1


def test_without_a_key(terminal: Terminal) -> None:
    done = terminal.main("start", terminal.linq.chat(), env={"LINQ_API_V3_API_KEY": None, "LINQ_API_TOKEN": "x"})
    assert done.returncode == 1
    assert "LINQ_API_V3_API_KEY" in done.stderr
    assert "LINQ_API_TOKEN is set, but that is not the variable's name." in done.stderr


def test_switched_off_nothing_is_sent(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    done = terminal.main("start", chat, env={"LINQ_TYPING_ENABLED": "0", "LINQ_API_V3_API_KEY": None})
    assert (done.returncode, terminal.asked(chat)) == (0, [])
    assert done.stdout == "LINQ_TYPING_ENABLED switches typing indicators off: nothing was sent.\n"
