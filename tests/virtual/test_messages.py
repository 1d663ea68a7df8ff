"""Messages as the engine hears of them: each once, whatever it is told twice or not at all."""

from __future__ import annotations

import logging

import httpx
import pytest

from linq_typing import TypingManager
from linq_typing._core.indicator import MessageInFlight

from .kit import LONG, MESSAGE, Events, MakeManager, VirtualLinq, elsewhere


def test_a_message_that_begins_and_ends_twice_counts_once(
    linq: VirtualLinq, make_manager: MakeManager, events: Events
) -> None:
    """An exception may interrupt the caller who tells of it, who then tells again."""
    chat, manager = linq.chat(), make_manager(on_event=events)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        engine = manager._engines.engine
        assert engine is not None
        message = MessageInFlight(engine.now())
        engine.send_began(chat, message)
        for at in (1.0, 1.5):
            engine.send_ended(chat, message, at, True)
        linq.sleep(1.0)
        assert events.kinds().count("message_sent") == 1
    linq.send_as_colleague(chat)  # the simulation has seen no message that would have cleared it


def test_a_message_that_never_began_and_was_not_accepted_is_nothing(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
        assert manager._engines.engine is not None
        manager._engines.engine.send_ended(chat, MessageInFlight(0.0), 1.0, False)
        linq.sleep(1.0)
        assert manager.stats().chats == 1


def test_a_message_that_is_known_only_by_its_answer_quiets_the_oldest_open_session(
    linq: VirtualLinq, make_manager: MakeManager, client: httpx.Client
) -> None:
    """If it was sent outside of every session's context, as one whose request names the chat."""
    chat, manager = linq.chat("+15550001"), make_manager(client=client)
    with manager.typing_while(chat):
        linq.sleep(10.0)
        elsewhere(lambda: client.post("/v3/messages", json={"to": ["+15550001"], **MESSAGE}))
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.0, "send")]


def test_a_message_that_is_marked_in_a_chat_without_a_session_is_nothing(
    linq: VirtualLinq, manager: TypingManager, caplog: pytest.LogCaptureFixture
) -> None:
    """The next session does not wait until it has settled."""
    chat = linq.chat()
    caplog.set_level(logging.DEBUG, "linq_typing")
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
        manager.mark_sent(chat)
        with manager.typing_while(chat):
            linq.sleep(1.0)
    assert linq.moments(chat) == [1.0]
    assert "which has no session" in caplog.text


def test_a_message_that_is_known_only_by_its_answer_began_in_retrospect(
    linq: VirtualLinq, manager: TypingManager
) -> None:
    """The next start waits until it has settled, 3 s after its answer."""
    chat = linq.chat()
    with manager.typing_while(linq.chat()):
        linq.sleep(10.0)
        assert manager._engines.engine is not None
        manager._engines.engine.send_ended(chat, MessageInFlight(5.0), 10.0, True)
        with manager.typing_while(chat):
            linq.sleep(60.0)
    assert linq.moments(chat) == [13.0]
