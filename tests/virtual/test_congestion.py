"""Refreshes that wait for a connection: one warning says how many connections are needed."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from .kit import Events, MakeManager, VirtualLinq


def _hold(linq: VirtualLinq, make_manager: MakeManager, *, chats: int, seconds: float, events: Events) -> None:
    """Over one connection; each chat is refreshed after 8 s."""
    manager = make_manager(max_connections=1, refresh_interval=8, on_event=events)
    with ExitStack() as blocks:
        for chat in [linq.chat() for _ in range(chats)]:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(seconds)


@pytest.mark.parametrize(
    ("chats", "needed"), [(12, 2), (20, 4)], ids=["twice as many, at least", "by the rule, and a quarter more"]
)
def test_refreshes_that_wait_too_long_for_a_connection_are_one_warning(
    linq: VirtualLinq,
    make_manager: MakeManager,
    events: Events,
    caplog: pytest.LogCaptureFixture,
    chats: int,
    needed: int,
) -> None:
    """One connection makes one request a second, and more are needed: 20 chats / 8 s * 1 s = 2.5."""
    linq.slow("start", before=0.75, after=0.25)
    with caplog.at_level(logging.WARNING):
        _hold(linq, make_manager, chats=chats, seconds=60, events=events)
    (event,) = [event for event in events if event.kind == "congested"]
    assert (event.chat_id, event.action) == ("", None)
    (line,) = caplog.messages
    assert line.startswith("typing indicators may disappear for a while: a refresh has waited ")
    assert line.endswith(f" s for a connection; raise max_connections from 1 to {needed} for {chats} chats")


def test_as_many_chats_as_the_connection_can_serve_are_no_warning(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """It is used without a break, and a refresh waits for 1 s at most."""
    linq.slow("start", before=0.75, after=0.25)
    _hold(linq, make_manager, chats=8, seconds=60, events=events)
    assert set(events.kinds()) == {"started", "refreshed"}


def test_refreshes_that_never_get_a_connection_are_a_warning(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """First starts go before them, and take it all."""
    linq.slow("start", before=0.75, after=0.25)
    manager = make_manager(max_connections=1, refresh_interval=8, on_event=events)
    with ExitStack() as blocks:
        for _ in range(40):
            blocks.enter_context(manager.typing_while(linq.chat()))
            linq.sleep(0.95)
    assert events.kinds().count("refreshed") == 0
    assert events.kinds().count("congested") == 1


def test_each_chat_counts_with_its_own_interval(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    """20 chats / 60 s + 5 chats / 1 s, and 0.5 s for each request: 2.7 in use, and a quarter more."""
    linq.slow("start", before=0.25, after=0.25)
    manager = make_manager(max_connections=1, on_event=events)
    with ExitStack() as blocks:
        for number in range(25):
            interval = 60 if number < 20 else 1
            blocks.enter_context(manager.typing_while(linq.chat(), refresh_interval=interval))
        linq.sleep(60)
    (event,) = [event for event in events if event.kind == "congested"]
    assert str(event.error).endswith("raise max_connections from 1 to 4 for 25 chats")


def test_first_starts_that_wait_are_no_warning(linq: VirtualLinq, make_manager: MakeManager, events: Events) -> None:
    """More connections would help them, but no indicator disappears."""
    linq.slow("start", before=0.75, after=0.25)
    _hold(linq, make_manager, chats=20, seconds=7, events=events)
    assert set(events.kinds()) == {"started"}


def test_refreshes_that_wait_for_the_end_of_an_outage_are_no_warning(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """All are late then, and more connections would not have helped."""
    linq.slow("start", before=0.75, after=0.25)
    manager = make_manager(max_connections=1, refresh_interval=8, on_event=events, max_retries=0)
    with ExitStack() as blocks:
        for chat in [linq.chat() for _ in range(8)]:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(20)
        linq.fail("start", 503)
        assert linq.wait_until(lambda: "suspended" in events.kinds())
        linq.sleep(30)
        linq.clear_faults()
        linq.slow("start", before=0.75, after=0.25)
        assert linq.wait_until(lambda: "recovered" in events.kinds())
        linq.sleep(30)
    assert events.kinds().count("refreshed") > 20
    assert "congested" not in events.kinds()
