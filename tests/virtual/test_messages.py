"""Messages as the engine hears of them: each once, whatever it is told twice or not at all."""

from __future__ import annotations

from linq_typing import TypingManager
from linq_typing._core.indicator import MessageInFlight

from .kit import Events, MakeManager, VirtualLinq


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
