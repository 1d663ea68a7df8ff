"""Who waits until the stops of some chats are out."""

from linq_typing._engine.chat import Chat
from linq_typing._engine.flushing import Flushes
from linq_typing._engine.waiting import Completion

from .kit import CHAT, OTHER_CHAT


def _chats() -> tuple[Chat, Chat]:
    return Chat(CHAT, 3.0), Chat(OTHER_CHAT, 3.0)


def _begun(flushes: Flushes, *chats: Chat) -> Completion:
    done = Completion()
    flushes.add(set(chats), done)
    return done


def test_a_flush_of_nothing_is_done_at_once() -> None:
    """And nobody waits."""
    flushes = Flushes()
    assert _begun(flushes).result is True
    assert not flushes


def test_a_flush_is_done_once_all_its_chats_have_settled() -> None:
    """Then it is forgotten."""
    flushes, (first, second) = Flushes(), _chats()
    done = _begun(flushes, first, second)
    flushes.settled(first)
    assert done.result is None
    assert flushes
    flushes.settled(second)
    assert done.result is True
    assert not flushes


def test_a_stop_that_is_given_up_counts_for_the_flushes_of_its_chat() -> None:
    """Not for those of other chats, nor for those that begin later."""
    flushes, (first, second) = Flushes(), _chats()
    mine, others = _begun(flushes, first), _begun(flushes, second)
    flushes.gave_up(first)
    later = _begun(flushes, first)
    for chat in (first, second):
        flushes.settled(chat)
    assert (mine.result, others.result, later.result) == (False, True, True)


def test_flushes_that_are_abandoned_were_not_clean() -> None:
    """All are told, once."""
    flushes, (first, second) = Flushes(), _chats()
    waiting = _begun(flushes, first), _begun(flushes, second)
    flushes.abandon()
    assert [done.result for done in waiting] == [False, False]
    assert not flushes
