"""`linq_typing.testing` without pytest's help."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable

import httpx
import pytest

import linq_typing
from linq_typing import TypingManager, typing_while
from linq_typing._default import default_manager
from linq_typing.sandbox import Model
from linq_typing.testing import GhostError, Sandbox, _sandbox, assert_no_ghost, describe, sandbox
from linq_typing.testing._ghosts import report


def request(linq: Sandbox, method: str, chat: str, what: str = "typing") -> httpx.Response:
    """A request without the library."""
    body = {"message": {"parts": [{"type": "text", "value": "hi"}]}} if what == "messages" else None
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    return httpx.request(method, f"{linq.base_url}/v3/chats/{chat}/{what}", headers=headers, json=body, verify=False)


def test_the_library_talks_to_it() -> None:
    with sandbox() as linq:
        chat = linq.chat()
        with typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
    assert not linq.visible(chat)
    assert [request.endpoint for request in linq.requests] == ["start", "stop"]


def test_the_library_is_as_fast_as_the_sandbox() -> None:
    """A refresh every modelled minute."""
    with sandbox(time_scale=200) as linq:
        chat = linq.chat()
        with typing_while(chat):
            assert linq.wait_until(lambda: len(linq.timeline(chat).starts) >= 3)
    first, second, *_ = linq.timeline(chat).starts
    assert second.received_at - first.received_at > 55


def test_the_scaled_settle_is_the_manager_s_default() -> None:
    assert inspect.signature(TypingManager).parameters["settle"].default == _sandbox.SETTLE
    assert _sandbox._scaled(10)["settle"] == pytest.approx(0.3)


def test_it_flushes_before_it_looks_for_ghosts() -> None:
    """A stop may be delayed for longer than it waits."""
    with sandbox() as linq:
        linq_typing.configure(stop_delay=20)
        chat = linq.chat()
        with typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
        assert linq.visible(chat)


def test_it_flushes_managers_that_were_made_before_it() -> None:
    """They are not the process-wide one."""
    with TypingManager(stop_delay=200) as manager, sandbox() as linq:
        chat = linq.chat()
        with manager.typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
        assert linq.visible(chat)


def test_a_ghost_is_raised_and_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINQ_API_V3_API_KEY", "own")
    monkeypatch.delenv("LINQ_API_V3_BASE_URL", raising=False)
    with pytest.raises(GhostError, match=r"left showing in 2 chats") as caught, sandbox() as linq:
        for chat in (linq.chat(), linq.chat()):
            request(linq, "POST", chat)
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value).count("Fix: ") == 2
    assert os.environ["LINQ_API_V3_API_KEY"] == "own"
    assert "LINQ_API_V3_BASE_URL" not in os.environ
    assert "127.0.0.1" not in repr(default_manager())
    with pytest.raises(httpx.ConnectError):
        request(linq, "POST", chat)


def test_quiet_while_an_exception_is_in_flight() -> None:
    with pytest.raises(ZeroDivisionError), sandbox() as linq:
        request(linq, "POST", linq.chat())
        _ = 1 / 0
    assert "closed" not in repr(default_manager())


def test_ghosts_can_be_checked_inside_the_block() -> None:
    with sandbox() as linq:
        chat = linq.chat()
        request(linq, "POST", chat)
        with pytest.raises(GhostError, match="no stop came after start #1"):
            assert_no_ghost(linq)
        request(linq, "DELETE", chat)
        assert_no_ghost(linq)


def test_a_ghost_that_has_timed_out_is_still_reported() -> None:
    with pytest.raises(GhostError, match="Linq takes the indicator down: a GHOST until then"), sandbox() as linq:
        chat = linq.chat()
        request(linq, "POST", chat)
        linq.time_scale = 500
        assert linq.wait_until(lambda: not linq.visible(chat))


def test_an_indicator_that_timed_out_after_failed_refreshes_is_no_ghost() -> None:
    with sandbox(time_scale=200, active_for=math.inf) as linq:
        chat = linq.chat()
        with typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
            linq.fail("start", 503)
            assert linq.wait_until(lambda: not linq.visible(chat))


def test_it_waits_for_a_message_to_land() -> None:
    """It clears the indicator 1.5 real seconds later, longer than it waits for anything else."""
    with sandbox(settle=15.0) as linq:
        chat = linq.chat()
        request(linq, "POST", chat)
        request(linq, "POST", chat, "messages")


def test_a_failed_stop_is_diagnosed() -> None:
    with pytest.raises(GhostError) as caught, sandbox() as linq:
        chat = linq.chat()
        linq.fail("stop", 403)
        with typing_while(chat):
            assert linq.wait_until(lambda: linq.visible(chat))
    assert "Why: stop #2 was answered 403, and had no effect." in str(caught.value)
    assert "clear_faults()" in str(caught.value)


def test_a_start_that_took_effect_after_the_stop_is_diagnosed() -> None:
    model = Model()
    chat = model.add_chat(active=True)
    start = model.log.arrive("POST", "/typing", "start", chat.id)
    stop = model.log.arrive("DELETE", "/typing", "stop", chat.id)
    model.log.affect(stop, model.stop(chat))
    model.log.affect(start, model.start(chat))
    text = report([model.timeline(chat)], open_sessions=0)
    assert "stop #2 and start #1 were in flight together, and the start took effect last." in text


def test_a_nested_sandbox_has_its_own_port() -> None:
    with sandbox() as outer:
        with sandbox() as inner:
            assert inner.base_url != outer.base_url
            with typing_while(inner.chat()):
                assert inner.wait_until(lambda: inner.requests)
        assert outer.requests == ()
        with typing_while(chat := outer.chat()):
            assert outer.wait_until(lambda: outer.visible(chat))


def test_a_bot_that_closes_the_manager_itself() -> None:
    with sandbox() as linq:
        with typing_while(linq.chat()):
            assert linq.wait_until(lambda: linq.requests)
        linq_typing.close()
    assert "closed" not in repr(default_manager())


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda linq, chat: linq.write(chat, "hello?"), "[   ]  the person writes: 'hello?'"),
        (lambda linq, chat: linq.reopen(chat), "[   ]  the person re-opens the chat"),
        (lambda linq, chat: linq.write(chat, "x" * 99), f"the person writes: '{'x' * 37}...'"),
    ],
)
def test_the_description_has_what_the_person_does(act: Callable[[Sandbox, str], object], line: str) -> None:
    with Sandbox() as linq:
        chat = linq.chat()
        act(linq, chat)
        timeline = linq.timeline(chat)
    assert line in describe(timeline)
    assert describe(timeline) == str(timeline)


def test_the_description_has_what_requests_change() -> None:
    with Sandbox(time_scale=10) as linq:
        chat, sms = linq.chat(), linq.sms()
        request(linq, "POST", chat)
        request(linq, "POST", chat)
        linq.fail("stop", 503, times=1)
        request(linq, "DELETE", chat)
        linq.slow("stop", before=0.2, times=1)
        request(linq, "DELETE", chat)
        request(linq, "POST", sms)
        linq.lose("stop", times=1)
        with pytest.raises(httpx.RemoteProtocolError):
            request(linq, "DELETE", sms)
    title, *lines, end = describe(linq.timeline(chat)).splitlines()
    assert title == f"Chat {chat} (iMessage):"
    told = [line.partition(" s  ")[2] for line in lines]
    late = re.compile(r", asked \d+\.\d s before$")
    assert [late.sub("", line) for line in told] == [  # any of them may be late on a busy machine
        "[...]  #1   start  204        the indicator shows",
        "[...]  #2   start  204        the indicator shows for longer",
        "[...]  #3   stop   503        no effect",
        "[   ]  #4   stop   204        the indicator is gone",
    ]
    assert late.search(told[3])
    assert end.endswith("[   ]  now: nothing shows")
    assert "(SMS):" in describe(linq.timeline(sms))
    assert "start  204        changes nothing, SMS shows no indicator" in describe(linq.timeline(sms))
    assert "stop   no answer  changes nothing" in describe(linq.timeline(sms))
    assert describe(linq.timeline(sms)).isascii()
