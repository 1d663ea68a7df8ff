"""What one process decides, step by step. The walks say that it comes to the right end; these say how."""

from __future__ import annotations

from itertools import count
from math import inf
from typing import Any

import pytest

from linq_typing._core.indicator import Action, MessageInFlight, Outcome, SessionState
from linq_typing._core.member import HEARTBEAT, MOST_CALLS, SIGHTINGS, Dead, Member, Mode
from linq_typing._core.shared_indicator import Marks, Share, SharedIndicator
from linq_typing._settings import SessionOptions

from .twin import Twin

SETTLE, OFFSET = 3.0, 5000.0
LONG_AGO = -inf
NOTHING = Marks(*[LONG_AGO] * 6)


class Chat(SharedIndicator):
    __slots__ = ("id", "share")


class Lab:
    """Members with one server, whose clock is OFFSET ahead. Calls take no time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.twin = Twin(lambda: round((self.now + OFFSET) * 1000))

    def member(self, name: str = "m", *, join: bool = True) -> Member[Chat]:
        numbers = count(1)
        member: Member[Chat] = Member("{t}", 5.0, lambda: f"{name}{next(numbers)}")
        if join:
            self.beat(member)
        return member

    def beat(self, member: Member[Chat]) -> Any:
        return member.heartbeat_answered(self.twin.run(member.heartbeat()), self.now, self.now)

    def chat(self, member: Member[Chat], name: str = "c") -> Chat:
        chat = Chat(SETTLE)
        chat.id, chat.share = name, Share(member)
        return chat

    def exchange(self, member: Member[Chat]) -> list[tuple[Chat, Action | None, bool]]:
        batch = member.batch(self.now)
        return member.answered(batch, [self.twin.run(exchange.call) for exchange in batch], self.now)

    def join(self, chat: Chat, **options: Any) -> SessionState:
        session = SessionState(SessionOptions(**options), self.now)
        chat.join(session, self.now)
        return session

    def start(self, member: Member[Chat], chat: Chat, outcome: Outcome = Outcome.ACCEPTED, took: float = 0.1) -> None:
        self.request(member, chat, Action.START, outcome, took)

    def request(self, member: Member[Chat], chat: Chat, action: Action, outcome: Outcome, took: float = 0.1) -> None:
        assert chat.next(self.now)[0] is action
        member.ask(chat, action)
        assert self.exchange(member) == [(chat, action, True)]
        chat.sent(action, self.now)
        self.now += took
        chat.answered(outcome, self.now)
        member.review(chat, self.now)
        self.exchange(member)


@pytest.fixture
def lab() -> Lab:
    return Lab()


# -- The clock


def heard(member: Member[Chat], offset: float, rtt: float) -> None:
    now = 1000.0
    member.heartbeat_answered([round((now + rtt / 2 + offset) * 1000), 1, 0, [], []], now, now + rtt)


def offset(member: Member[Chat]) -> float:
    return member._to_server(1.0) / 1000 - 1.0


def test_the_offset_is_kept_until_it_is_proved_wrong(lab: Lab) -> None:
    """Or else all marks would creep. An answer proves no more than half its time, and 10 ms."""
    member = lab.member(join=False)
    heard(member, 50.0, 0.002)
    assert offset(member) == pytest.approx(50.0)
    heard(member, 50.01, 0.002)
    heard(member, 50.1, 0.2)
    assert offset(member) == pytest.approx(50.0)
    heard(member, 50.012, 0.002)
    assert offset(member) == pytest.approx(50.012)


def test_a_better_answer_is_taken(lab: Lab) -> None:
    """The first one may have been slow."""
    member = lab.member(join=False)
    heard(member, 50.0, 0.2)
    assert member.clock_error == pytest.approx(0.11)
    heard(member, 50.05, 0.01)
    assert offset(member) == pytest.approx(50.05)
    assert member.clock_error == pytest.approx(0.015)


# -- Who is dead


def test_death_is_judged_by_own_heartbeats(lab: Lab) -> None:
    """Silent, and with the same last heartbeat, at three of them; not by the clock alone, which may jump."""
    one, two = lab.member("a"), lab.member("b")
    lab.now += 1000.0
    assert [lab.beat(one)[1] for _ in range(SIGHTINGS - 1)] == [[], []]
    lab.beat(two)
    lab.now += 1000.0
    assert [lab.beat(one)[1] for _ in range(SIGHTINGS - 1)] == [[], []]
    assert [dead.id for dead in lab.beat(one)[1]] == ["b1"]


def test_who_left_something_behind_is_taken_over_at_once(lab: Lab) -> None:
    """It said so."""
    one, two = lab.member("a"), lab.member("b")
    chat = lab.chat(two)
    lab.join(chat)
    two.review(chat, lab.now)
    lab.exchange(two)
    lab.twin.run(two.heartbeat(leave=True))
    assert lab.beat(one)[1] == [Dead("b1", "-1")]
    assert not one.took_over(lab.twin.run(one.take_over(Dead("b1", "-1"))))
    assert one.held == {"c"}


def test_one_that_was_forgotten_starts_a_new_life(lab: Lab) -> None:
    """It is alone until that begins; a lease of the old life is none."""
    member = lab.member()
    chat = lab.chat(member)
    lab.join(chat)
    member.ask(chat, Action.START)
    assert lab.exchange(member) == [(chat, Action.START, True)]
    lab.twin.flush()
    assert lab.beat(member) == ((), [])
    assert (member.id, member.mode) == ("m2", Mode.ALONE)
    lab.beat(member)
    assert member.mode is Mode.SHARED
    member.start_over([chat])
    assert chat.share.lease is None
    assert [exchange.chat for exchange in member.batch(lab.now)] == [chat]


def test_one_that_is_unknown_starts_a_new_life(lab: Lab) -> None:
    """It was taken over while it stood still."""
    member = lab.member()
    chat = lab.chat(member)
    lab.twin.members["m1"] = -1
    lab.join(chat)
    member.ask(chat, Action.START)
    assert lab.exchange(member) == [(chat, Action.START, False)]
    assert (member.id, member.mode) == ("m2", Mode.ALONE)
    lab.beat(member)
    assert lab.twin.members.keys() == {"m1", "m2"}


def test_a_part_that_the_server_forgot(lab: Lab) -> None:
    """It counts other chats than this member: nothing is as it seems. Not while exchanges are on their way."""
    member = lab.member()
    chat = lab.chat(member)
    lab.join(chat)
    member.review(chat, lab.now)
    lab.exchange(member)
    lab.twin.held.clear()
    member.ask(chat, Action.START)
    lab.beat(member)
    assert member.id == "m1"
    batch = member.batch(lab.now)
    lab.beat(member)
    assert member.id == "m1"
    member.answered(batch, [["no", 0, 0, 0, 1, "", *[0] * 6]], lab.now)
    lab.beat(member)
    assert member.id == "m2"


# -- Exchanges


def test_one_batch_at_a_time_questions_first(lab: Lab) -> None:
    """So no chat has two exchanges, and what is about to be asked tells, too."""
    member = lab.member()
    chats = [lab.chat(member, f"c{number}") for number in range(MOST_CALLS + 1)]
    for chat in chats:
        lab.join(chat)
        member.review(chat, lab.now)
    member.ask(chats[-1], Action.START)
    batch = member.batch(lab.now)
    assert [exchange.chat for exchange in batch] == [chats[-1], *chats[:-2]]
    assert member.batch(lab.now) == ()
    member.answered(batch, [["no", 0, 0, 0, 1, "", *[0] * 6]] * MOST_CALLS, lab.now)
    assert [exchange.chat for exchange in member.batch(lab.now)] == [chats[-2]]


def test_no_exchange_while_alone_or_connecting(lab: Lab) -> None:
    """What is asked while connecting waits; when the server is lost, the question is void."""
    member = lab.member(join=False)
    chat = lab.chat(member)
    lab.join(chat)
    member.ask(chat, Action.START)
    assert chat.next(lab.now)[0] is None
    assert member.batch(lab.now) == ()
    assert member.lost() == [chat]
    assert chat.next(lab.now)[0] is Action.START


def test_the_answer_to_a_batch_that_was_given_up_is_not_heard(lab: Lab) -> None:
    """It may come all the same."""
    member = lab.member()
    chat = lab.chat(member)
    lab.join(chat)
    member.ask(chat, Action.START)
    batch = member.batch(lab.now)
    assert member.lost() == [chat]
    assert member.answered(batch, [["go", 0, 0, 0, 1, "", *[0] * 6]], lab.now) == []


def test_a_lease_that_was_long_on_its_way_is_returned(lab: Lab) -> None:
    """This process may have stood still."""
    member, other = lab.member("a"), lab.member("b")
    chat, same = lab.chat(member), lab.chat(other)
    lab.join(chat)
    member.ask(chat, Action.START)
    batch = member.batch(lab.now)
    replies = [lab.twin.run(exchange.call) for exchange in batch]
    lab.now += 0.5
    assert member.answered(batch, replies, lab.now) == [(chat, Action.START, False)]
    member.review(chat, lab.now)
    lab.exchange(member)
    lab.join(same)
    other.ask(same, Action.START)
    assert lab.exchange(other) == [(same, Action.START, True)]


def test_what_is_not_granted_is_asked_again_later(lab: Lab) -> None:
    """After 0.5 s at most where another has the lease."""
    member, other = lab.member("a"), lab.member("b")
    chat, same = lab.chat(member), lab.chat(other)
    for each, of in ((chat, member), (same, other)):
        lab.join(each)
        of.ask(each, Action.START)
    assert lab.exchange(member) == [(chat, Action.START, True)]
    assert lab.exchange(other) == [(same, Action.START, False)]
    assert same.next(lab.now) == (None, lab.now + 0.5)
    assert same.next(lab.now + 0.5)[0] is Action.START


def test_relief(lab: Lab) -> None:
    """Who leaves while others go on has no stop to send; the last one has."""
    member, other = lab.member("a"), lab.member("b")
    chat, same = lab.chat(member), lab.chat(other)
    session = lab.join(chat)
    lab.start(member, chat)
    lab.join(same)
    other.review(same, lab.now)
    lab.exchange(other)
    assert same.maybe_up(lab.now)
    chat.leave(session, lab.now, 0.0)
    assert chat.next(lab.now)[0] is Action.STOP
    member.ask(chat, Action.STOP)
    assert lab.exchange(member) == [(chat, Action.STOP, False)]
    assert not chat.pending(lab.now)
    assert chat.forgettable(lab.now)


def test_no_relief_by_an_answer_older_than_the_debt(lab: Lab) -> None:
    """A start was accepted after the call was made: nobody was told of it."""
    member, other = lab.member("a"), lab.member("b")
    chat, same = lab.chat(member), lab.chat(other)
    session = lab.join(chat)
    lab.join(same)
    other.review(same, lab.now)
    lab.exchange(other)
    member.ask(chat, Action.START)
    lab.exchange(member)
    chat.sent(Action.START, lab.now)
    chat.leave(session, lab.now, 0.0)
    member.review(chat, lab.now)
    batch = member.batch(lab.now)
    replies = [lab.twin.run(exchange.call) for exchange in batch]
    chat.answered(Outcome.ACCEPTED, lab.now)
    member.answered(batch, replies, lab.now)
    assert chat.maybe_up(lab.now)
    assert not chat.forgettable(lab.now)


def test_a_request_sent_alone_is_told_of(lab: Lab) -> None:
    """It becomes the lease: nobody else sends meanwhile."""
    member, other = lab.member("a"), lab.member("b")
    chat, same = lab.chat(member), lab.chat(other)
    member.lost()
    lab.join(chat)
    chat.sent(Action.START, lab.now)
    lab.beat(member)
    member.start_over([chat])
    lab.exchange(member)
    assert chat.share.lease is not None
    lab.join(same)
    other.ask(same, Action.START)
    assert lab.exchange(other) == [(same, Action.START, False)]


def test_a_stop_delay_is_told_as_if_the_session_went_on(lab: Lab) -> None:
    """One word less; and what it leaves is stopped at its end, by whoever is last. Not after its message."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    lab.start(member, chat)
    chat.leave(session, lab.now, 0.5)
    member.review(chat, lab.now)
    assert not member.batch(lab.now)
    chat.send_ended(MessageInFlight(lab.now, session), lab.now, True)
    member.review(chat, lab.now)
    (exchange,) = member.batch(lab.now)
    assert not exchange.wants


def test_a_chat_is_kept_while_others_think_that_it_is_held_here(lab: Lab) -> None:
    """But not while alone: nobody could be told."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    member.review(chat, lab.now)
    lab.exchange(member)
    chat.leave(session, lab.now, 0.0)
    assert chat.next(lab.now)[0] is None
    assert not chat.forgettable(lab.now)
    member.lost()
    assert chat.forgettable(lab.now)


def test_what_need_not_be_told_any_more_is_not_told(lab: Lab) -> None:
    """A session came and went while an answer was on its way; the chat may be forgotten then, with nothing queued."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    member.review(chat, lab.now)
    chat.leave(session, lab.now, 0.0)
    member.review(chat, lab.now)
    assert chat.next(lab.now)[0] is None
    assert chat.forgettable(lab.now)
    assert not member.batch(lab.now)


# -- The indicator


def test_a_stop_that_was_given_up_is_given_up_by_all(lab: Lab) -> None:
    """Or else the next to be told of the debt would start again."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    lab.start(member, chat)
    chat.leave(session, lab.now, 0.0)
    lab.request(member, chat, Action.STOP, Outcome.NOT_APPLIED)
    assert not chat.pending(lab.now)
    assert member.held == set()


def test_what_may_have_faded_is_not_confirmed_by_others(lab: Lab) -> None:
    """A session that begins after 85 s without a refresh starts anew."""
    member = lab.member()
    chat = lab.chat(member)
    lab.join(chat, refresh_interval=300.0)
    lab.start(member, chat)
    lab.now += 86.0
    lab.join(chat, refresh_interval=300.0)
    lab.start(member, chat)


def test_others_raise_the_second_stop(lab: Lab) -> None:
    """It is for the last start that may still take effect."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    lab.start(member, chat, Outcome.NO_ANSWER, took=5.0)
    chat.leave(session, lab.now, 0.0)
    lab.request(member, chat, Action.STOP, Outcome.ACCEPTED)
    assert chat.next(lab.now) == (None, lab.now - 0.1 + 5.0)
    chat.merge(NOTHING._replace(may_apply_until=lab.now + 8.0))
    assert chat.next(lab.now) == (None, lab.now + 8.0)


def test_a_start_of_others_is_repeated_after_a_lost_stop(lab: Lab) -> None:
    """Whoever sent the one and the other."""
    member = lab.member()
    chat = lab.chat(member)
    lab.join(chat)
    chat.merge(NOTHING._replace(started_at=lab.now, stop_may_apply_until=lab.now + 4.0))
    assert chat.next(lab.now) == (None, lab.now + 4.0)
    assert chat.next(lab.now + 4.0)[0] is Action.START


def test_a_stop_clears_what_came_before_its_lease(lab: Lab) -> None:
    """Also where this member takes the server's clock for slower than it is: no second stop."""
    member, other = lab.member("a", join=False), lab.member("b")
    member.heartbeat_answered(lab.twin.run(member.heartbeat()), lab.now, lab.now + 0.01)
    assert offset(member) == pytest.approx(OFFSET - 0.005)
    chat, same = lab.chat(member), lab.chat(other)
    lab.join(same)
    other.review(same, lab.now)
    lab.exchange(other)
    lab.twin.run(other.heartbeat(leave=True))
    member.took_over(lab.twin.run(member.take_over(Dead("b1", "-1"))))
    chat.share.dirty = True
    member.review(chat, lab.now)
    lab.exchange(member)
    lab.request(member, chat, Action.STOP, Outcome.ACCEPTED)
    assert not chat.maybe_up(lab.now)
    assert not member.held


def test_a_stop_is_not_in_the_future_of_a_server_whose_clock_has_jumped(lab: Lab) -> None:
    """After a failover, say. Or else the next start would count as stopped."""
    member = lab.member()
    chat = lab.chat(member)
    session = lab.join(chat)
    lab.start(member, chat)
    chat.leave(session, lab.now, 0.0)
    lab.twin.now = lambda: round((lab.now + OFFSET + 60.0) * 1000)
    sent_at = lab.now
    lab.request(member, chat, Action.STOP, Outcome.ACCEPTED)
    assert chat.share.cleared_until == pytest.approx(sent_at + member.clock_error)


def test_a_message_clears_less_than_the_clocks_can_tell(lab: Lab) -> None:
    """A start of another member just before it may have come just after it."""
    member = lab.member()
    chat = lab.chat(member)
    chat.send_ended(MessageInFlight(lab.now), lab.now + 0.5, True)
    assert chat.marks().cleared_until == lab.now - 2 * member.clock_error < lab.now


def test_a_message_elsewhere_quiets_the_oldest(lab: Lab) -> None:
    """Or nobody, if all came later."""
    member = lab.member()
    chat = lab.chat(member)
    sessions = [lab.join(chat), lab.join(chat)]
    chat.message_elsewhere(lab.now - 1.0)
    assert all(session.wants(lab.now) for session in sessions)
    chat.message_elsewhere(lab.now)
    assert [session.wants(lab.now) for session in sessions] == [False, True]


def test_constants_fit() -> None:
    """A death is noticed, and a stop sent, within 10 s."""
    assert 3.0 + SIGHTINGS * HEARTBEAT <= 7.5


def test_a_stop_that_the_server_takes_for_needless_is_not_asked_for_again() -> None:
    """By its milliseconds the message came after the start, by this member's finer clock before."""
    lab = Lab()
    member = lab.member()
    chat = lab.chat(member)
    lab.now += 0.0004
    session = lab.join(chat)
    lab.start(member, chat)
    chat.leave(session, lab.now, 0.0)
    chat.share.cleared_until = lab.now - 0.0004
    assert chat.maybe_up(lab.now)
    member.review(chat, lab.now)
    member.ask(chat, Action.STOP)
    assert [granted for _, _, granted in lab.exchange(member)] == [False]
    assert not chat.maybe_up(lab.now)
