"""Webhooks, matched with own messages: what is new, and what it is about."""

from __future__ import annotations

from typing import Any

import pytest

from linq_typing._core import observations
from linq_typing._core.indicator import MessageInFlight
from linq_typing._core.observations import News, Observation, Observations, Recent

CHAT, OTHER = "a chat", "another chat"


def told(kind: Any, message_id: str, event_id: str = "", *, chat: str = CHAT, age: float = 0.0) -> Observation:
    return Observation(kind, chat, message_id, event_id, age)


def message(message_id: str = "") -> MessageInFlight:
    made = MessageInFlight(0.0)
    made.id = message_id
    return made


def released(observed: Observations, now: float, *, sending: bool = False) -> list[News]:
    return list(observed.release(now, lambda _: sending))


def test_what_is_heard_of_an_own_message() -> None:
    observed, own = Observations(), message("m")
    assert observed.sent(CHAT, own, 0.0) == []
    assert observed.observe(told("sent", "m"), 1.0) == [News("sent", CHAT, own, 1.0)]
    assert observed.observe(told("failed", "m", chat=""), 2.0) == [News("failed", CHAT, own, 2.0)]
    assert observed.observe(told("delivered", "m", age=0.5), 3.0) == [News("delivered", CHAT, own, 2.5)]


def test_a_message_is_delivered_once() -> None:
    """Whatever the event's id; and then there is nothing more to be heard of it."""
    observed = Observations()
    observed.sent(CHAT, message("m"), 0.0)
    observed.observe(told("delivered", "m", "1"), 1.0)
    assert observed.observe(told("delivered", "m", "2"), 60.0) == []
    assert observed.observe(told("sent", "m", "3"), 61.0) == []


def test_an_event_is_heard_once() -> None:
    observed = Observations()
    observed.sent(CHAT, message("m"), 0.0)
    assert observed.observe(told("sent", "m", "event"), 1.0)
    assert observed.observe(told("sent", "m", "event"), 2.0) == []


def test_a_message_of_somebody_else_is_told_once_after_a_second() -> None:
    observed = Observations()
    assert observed.next_at == float("inf")
    assert observed.observe(told("sent", "x", age=2.0), 5.0) == []
    assert observed.observe(told("delivered", "x"), 5.5) == []
    assert observed.next_at == 6.0
    assert released(observed, 5.9) == []
    assert released(observed, 7.0) == [News("sent", CHAT, None, 3.0, "x")]
    assert observed.observe(told("delivered", "x"), 8.0) == []


def test_a_failure_of_somebody_elses_message_is_told_once() -> None:
    """It may be another process's."""
    observed = Observations()
    observed.observe(told("failed", "x"), 0.0)
    assert released(observed, 1.0) == [News("failed", CHAT, None, 0.0, "x")]
    assert observed.observe(told("failed", "x"), 2.0) == []
    assert observed.next_at == float("inf")


def test_a_webhook_may_come_before_the_answer() -> None:
    observed, own = Observations(), message("m")
    observed.observe(told("sent", "x"), 0.0)
    observed.observe(told("sent", "m"), 0.25)
    assert observed.sent(CHAT, own, 0.5) == [News("sent", CHAT, own, 0.25)]
    assert released(observed, 5.0) == [News("sent", CHAT, None, 0.0, "x")]


def test_it_waits_while_a_message_of_the_chat_is_in_flight() -> None:
    """But not for ever."""
    observed = Observations()
    observed.observe(told("sent", "x"), 0.0)
    assert released(observed, 1.0, sending=True) == []
    assert observed.next_at == 2.0
    assert released(observed, 60.0, sending=True) == [News("sent", CHAT, None, 0.0, "x")]


def test_own_messages_without_an_id_are_known_by_number() -> None:
    """The first of the chat's; what comes later of the same id is about the same message."""
    observed, first, second = Observations(), message(), message()
    observed.sent(CHAT, first, 0.0)
    observed.sent(CHAT, second, 0.0)
    observed.observe(told("sent", "z", chat=OTHER), 1.0)
    assert observed.observe(told("sent", "x"), 1.0) == [News("sent", CHAT, first, 1.0)]
    assert observed.observe(told("delivered", "x"), 1.5) == [News("delivered", CHAT, first, 1.5)]
    assert observed.observe(told("failed", "y"), 2.0) == [News("failed", CHAT, second, 2.0)]
    assert observed.observe(told("sent", "w"), 2.0) == []
    assert [news.message for news in released(observed, 9.0)] == [None, None]


def test_a_webhook_before_the_end_of_an_own_message_without_an_id_is_taken_for_it() -> None:
    observed, own = Observations(), message()
    observed.observe(told("sent", "x"), 0.0)
    assert observed.sent(CHAT, own, 0.5) == [News("sent", CHAT, own, 0.0)]
    assert observed.next_at == float("inf")


def test_after_a_minute_nothing_is_taken_for_an_own_message_without_an_id() -> None:
    observed, late = Observations(), message()
    observed.sent(CHAT, message(), 0.0)
    observed.sent(CHAT, late, 30.0)
    assert observed.observe(told("sent", "x"), 60.0) == [News("sent", CHAT, late, 60.0)]
    assert observed.observe(told("sent", "y"), 61.0) == []


def test_opening_the_chat_makes_a_difference_once_a_minute() -> None:
    """Counted from when it did make one."""
    observed = Observations()
    read = News("read", CHAT, None, 0.0)
    assert observed.observe(told("read", ""), 0.0) == [read]
    assert observed.observe(told("read", ""), 1.0) == [read._replace(at=1.0)]
    observed.shown_again(CHAT, 1.0)
    assert observed.observe(told("read", ""), 60.0) == []
    assert observed.observe(told("read", "", chat=OTHER), 60.0) != []
    assert observed.observe(told("read", ""), 61.0) != []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By time, and by number: the latest stay."""
    monkeypatch.setattr(observations, "MOST", 3)
    recent: Recent[int] = Recent(10.0)
    for number in range(5):
        recent.put(str(number), number, float(number))
    assert [recent.get(str(number), 5.0) for number in range(5)] == [None, None, 2, 3, 4]
    assert recent.get("2", 12.0) is None
    recent.put("3", 33, 13.5)
    assert (recent.get("3", 14.0), recent.get("4", 13.9)) == (33, 4)
