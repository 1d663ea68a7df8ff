"""The orderings in which the indicator must decide right, each under its own name. Sections 4.3 to 4.9 of the design.

``world.log`` is what was asked of the API, and when; the world judges every step besides.
"""

from math import inf
from types import ModuleType

from linq_typing._settings import SessionOptions

from .model import World

EVERY_20 = SessionOptions(refresh_interval=20.0)
FOR_EVER = SessionOptions(max_duration=None)


def confirmed(machine: ModuleType, options: SessionOptions = FOR_EVER) -> World:
    """A world at time 1 with one session, whose start was sent at 0 and accepted at 1."""
    world = World(machine)
    world.join(options)
    world.advance(1.0)
    world.answer("ACCEPTED")
    return world


def passes(world: World, seconds: float) -> None:
    """Time passes; every request is accepted within a quarter second."""
    until = world.now + seconds
    while world.now < until:
        world.advance(0.25)
        if world.in_flight is not None:
            world.answer("ACCEPTED")


# -- 4.3 No ghost


def test_nothing_is_sent_while_a_request_is_in_flight(machine: ModuleType) -> None:
    """The session leaves while its start is in flight: the stop waits for the answer."""
    world = World(machine)
    world.leave(world.join(), error=True)
    world.advance(4.0)
    assert world.log == ["start 0"]
    world.answer("ACCEPTED")
    assert world.log == ["start 0", "stop 4"]


def test_a_session_that_ends_before_its_start_went_out_sends_nothing(machine: ModuleType) -> None:
    """No slot was free for the start before the session left."""
    world = World(machine)
    world.grant(False)
    world.leave(world.join(), error=True)
    world.grant(True)
    passes(world, 10.0)
    assert world.log == []


def test_a_start_is_not_tried_again_once_nobody_wants_it(machine: ModuleType) -> None:
    """It was not applied and the session has left: no retry, and no stop either."""
    world = World(machine)
    session = world.join()
    world.answer("NOT_APPLIED", retry_in=2.0)
    world.advance(1.0)
    world.leave(session, error=True)
    passes(world, 10.0)
    assert world.log == ["start 0"]


def test_a_start_answered_5xx_may_have_worked_and_is_stopped(machine: ModuleType) -> None:
    """One stop for it, at once."""
    world = World(machine)
    session = world.join()
    world.answer("UNKNOWN", retry_in=2.0)
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 0"]


def test_a_start_answered_5xx_is_cleared_by_a_message_begun_after_it(machine: ModuleType) -> None:
    """The message has cleared whatever it did: no stop."""
    world = World(machine)
    session = world.join()
    world.answer("UNKNOWN", retry_in=2.0)
    world.advance(1.0)
    world.sent(session)
    passes(world, 20.0)
    assert world.log == ["start 0"]


def test_a_lost_start_is_stopped_at_once_and_once_more_when_it_can_no_longer_work(
    machine: ModuleType,
) -> None:
    """It may take effect up to 5 s after its answer was lost; only a stop sent after that settles it."""
    world = World(machine)
    session = world.join()
    world.advance(4.0)
    world.answer("NO_ANSWER", retry_in=2.0)
    world.advance(1.0)
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 5", "stop 9"]


def test_a_lost_start_whose_session_stayed_long_enough_needs_one_stop(machine: ModuleType) -> None:
    """The one that is sent after the 5 s settles it."""
    world = World(machine)
    session = world.join()
    world.answer("NO_ANSWER", retry_in=8.0)
    world.advance(5.0)
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 5"]


def test_a_lost_start_is_not_forgotten_when_the_next_one_is_accepted(machine: ModuleType) -> None:
    """The accepted one is stopped; the lost one may come after that stop."""
    world = World(machine)
    session = world.join()
    world.answer("NO_ANSWER", retry_in=0.5)
    world.advance(0.75)
    world.answer("ACCEPTED")
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "start 0.5", "stop 0.75", "stop 5"]


def test_a_session_that_joins_between_the_two_stops_of_a_lost_start_puts_off_the_second(
    machine: ModuleType,
) -> None:
    """While it wants the indicator none is due; when it leaves there are two again, if it is early."""
    world = World(machine)
    world.leave(world.join(), error=True)
    world.answer("NO_ANSWER")
    world.answer("ACCEPTED")
    world.advance(1.0)
    second = world.join()
    world.answer("ACCEPTED")
    world.advance(1.0)
    world.leave(second, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 0", "start 1", "stop 2", "stop 5"]


def test_a_start_that_was_not_applied_between_the_two_stops_does_not_drop_the_second(
    machine: ModuleType,
) -> None:
    """The lost start may still take effect."""
    world = World(machine)
    world.leave(world.join(), error=True)
    world.answer("NO_ANSWER")
    world.answer("ACCEPTED")
    second = world.join()
    world.answer("NOT_APPLIED", retry_in=2.0)
    world.advance(1.0)
    world.leave(second, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 0", "start 0", "stop 1", "stop 5"]


def test_a_lost_start_is_not_cleared_by_a_message_that_it_may_come_after(machine: ModuleType) -> None:
    """Lost at 0, the message at 2: the start may take effect until 5, the message may clear at 2."""
    world = World(machine)
    session = world.join()
    world.answer("NO_ANSWER", retry_in=8.0)
    world.advance(2.0)
    world.sent(session)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 5"]


def test_a_lost_start_is_cleared_by_a_message_begun_when_it_can_no_longer_work(machine: ModuleType) -> None:
    """No stop."""
    world = World(machine)
    session = world.join()
    world.answer("NO_ANSWER", retry_in=8.0)
    world.advance(5.25)
    world.sent(session)
    passes(world, 20.0)
    assert world.log == ["start 0"]


def test_a_refused_connection_and_a_429_did_nothing_and_need_no_stop(machine: ModuleType) -> None:
    """Only the starts, and their retry."""
    world = World(machine)
    session = world.join()
    world.answer("NOT_APPLIED", retry_in=1.0)
    world.advance(1.0)
    world.answer("NOT_APPLIED", retry_in=1.0, retry_after=1.0)
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "start 1"]


def test_start_answered_after_the_message_was_accepted_is_followed_by_one_stop_after_it_settled(
    machine: ModuleType,
) -> None:
    """Start sent at 0; message 1 to 2; start answered at 3: the stop goes out at 5."""
    world = World(machine)
    session = world.join()
    world.advance(1.0)
    message = world.send(session)
    world.advance(1.0)
    world.end(message)
    world.advance(1.0)
    world.answer("ACCEPTED")
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 5"]


def test_start_answered_during_the_message_is_followed_by_one_stop_after_it_settled(
    machine: ModuleType,
) -> None:
    """Start sent at 0; message 1 to 3; start answered at 2: the stop goes out at 6."""
    world = World(machine)
    session = world.join()
    world.advance(1.0)
    message = world.send(session)
    world.advance(1.0)
    world.answer("ACCEPTED")
    world.advance(1.0)
    world.end(message)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 6"]


def test_start_answered_when_the_message_has_settled_is_followed_by_one_stop_at_once(
    machine: ModuleType,
) -> None:
    """Start sent at 0; message at 1, settled at 4; start answered at 4.5."""
    world = World(machine)
    session = world.join()
    world.advance(1.0)
    world.sent(session)
    world.advance(3.5)
    world.answer("ACCEPTED")
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 4.5"]


def test_a_message_reported_after_the_answer_of_the_start_that_it_overlapped(machine: ModuleType) -> None:
    """Begun at 0.5 and accepted at 0.75, reported at 1.25; the start was answered at 1: one stop at 3.75."""
    world = confirmed(machine)
    world.advance(0.25)
    world.sent(world.sessions[0], took=0.25, late=0.5)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 3.75"]


def test_a_start_that_overlapped_a_failed_message_is_confirmed(machine: ModuleType) -> None:
    """Nothing was sent, so nothing was cleared."""
    world = World(machine)
    session = world.join()
    message = world.send(session)
    world.advance(1.0)
    world.answer("ACCEPTED")
    world.end(message, accepted=False)
    passes(world, 50.0)
    assert world.log == ["start 0"]


def test_a_stop_answered_5xx_is_tried_again(machine: ModuleType) -> None:
    """At its retry time, not before."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("UNKNOWN", retry_in=2.0, where=0.0)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 1", "stop 3"]


def test_the_indicator_fades_by_itself_when_no_stop_gets_through(machine: ModuleType) -> None:
    """After 90 s there is nothing left to stop."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("NOT_APPLIED", retry_in=100.0)
    world.advance(200.0)
    assert world.log == ["start 0", "stop 1"]
    assert world.indicator.forgettable(world.now)


def test_a_stop_is_given_up_when_nobody_wants_the_indicator(machine: ModuleType) -> None:
    """Nothing more to do."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("UNKNOWN", where=0.0)
    world.advance(30.0)
    assert world.log == ["start 0", "stop 1"]
    assert world.indicator.forgettable(world.now)


def test_a_stop_that_failed_when_it_was_wanted_no_longer_is_owed_again_later(machine: ModuleType) -> None:
    """Giving it up there must not forget that the indicator may be up: the second session's start is refused,
    and its end owes the stop."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    second = world.join()
    world.answer("UNKNOWN", where=0.0)
    world.answer("REFUSED")
    world.leave(second, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 1", "start 1", "stop 1"]


def test_a_stop_that_surely_did_nothing_costs_the_next_session_no_start(machine: ModuleType) -> None:
    """The second session came while it was in flight: the indicator is still up, whatever the retries say."""
    for outcome in ("NOT_APPLIED", "REFUSED"):
        world = confirmed(machine)
        world.leave(world.sessions[0], error=True)
        world.join(FOR_EVER)
        world.answer(outcome)
        passes(world, 55.0)
        assert world.log == ["start 0", "stop 1"]


def lost_stop(machine: ModuleType) -> World:
    """A world at time 2 whose stop, sent at 1, was lost and given up: it may take effect until 7."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.advance(1.0)
    world.answer("NO_ANSWER")
    return world


def test_a_start_that_a_lost_stop_may_still_undo_is_repeated_when_it_no_longer_can(machine: ModuleType) -> None:
    """One start at once, one at 7; the next is a refresh."""
    world = lost_stop(machine)
    world.join(FOR_EVER)
    passes(world, 70.0)
    assert world.log == ["start 0", "stop 1", "start 2", "start 7", "start 67"]


def test_an_accepted_retry_of_a_lost_stop_does_not_settle_it(machine: ModuleType) -> None:
    """The first one may still take effect, after the start of the session that follows."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("NO_ANSWER", retry_in=0.5)
    passes(world, 1.0)
    world.join(FOR_EVER)
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 1", "stop 1.5", "start 2", "start 6"]


def test_a_start_sent_when_the_lost_stop_can_no_longer_work_is_not_repeated(machine: ModuleType) -> None:
    """Neither one sent at that very moment, nor one sent then because the one before had failed."""
    world = lost_stop(machine)
    world.advance(5.0)
    world.join(FOR_EVER)
    passes(world, 50.0)
    assert world.log == ["start 0", "stop 1", "start 7"]
    world = lost_stop(machine)
    world.join(FOR_EVER)
    world.answer("UNKNOWN", retry_in=5.0)
    passes(world, 50.0)
    assert world.log == ["start 0", "stop 1", "start 2", "start 7"]


def test_a_start_answered_when_the_lost_stop_can_no_longer_work_is_repeated_at_once(machine: ModuleType) -> None:
    """It was sent before that, so nobody knows which came first."""
    world = lost_stop(machine)
    world.advance(4.75)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.answer("ACCEPTED")
    assert world.log == ["start 0", "stop 1", "start 6.75", "start 7.75"]


def test_a_start_is_not_repeated_for_a_session_that_has_left(machine: ModuleType) -> None:
    """Only its stop goes out."""
    world = lost_stop(machine)
    session = world.join()
    world.answer("ACCEPTED")
    world.advance(1.0)
    world.leave(session, error=True)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 1", "start 2", "stop 3"]


def test_a_start_waits_for_a_message_before_it_is_repeated(machine: ModuleType) -> None:
    """Sent at 3 by a neighbour, settled at 6: the start at 6 may be undone as well."""
    world = lost_stop(machine)
    world.join(FOR_EVER)
    passes(world, 1.0)
    world.sent(None)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 1", "start 2", "start 6", "start 7"]


def test_a_chat_is_not_forgotten_while_a_lost_stop_may_still_work(machine: ModuleType) -> None:
    """The session that follows has to know of it."""
    world = lost_stop(machine)
    assert world.wake == 7.0
    world.advance(4.75)
    assert not world.indicator.forgettable(world.now)
    world.advance(0.25)
    assert world.indicator.forgettable(world.now)


# -- 4.4 A send quiets the session that sent it


def test_a_message_quiets_its_sender_and_the_neighbour_is_shown_again_when_it_has_settled(
    machine: ModuleType,
) -> None:
    """Start at 0; message at 2; start again at 5, for the neighbour; its end stops it."""
    world = confirmed(machine)
    neighbour = world.join(FOR_EVER)
    world.advance(1.0)
    world.sent(world.sessions[0])
    passes(world, 10.0)
    world.leave(neighbour, error=True)
    assert world.log == ["start 0", "start 5", "stop 12"]


def test_a_session_that_begins_while_a_send_is_in_flight_is_not_quieted_by_it(machine: ModuleType) -> None:
    """It is shown once the message has settled."""
    world = confirmed(machine)
    message = world.send(world.guess())
    world.advance(1.0)
    world.join(FOR_EVER)
    world.end(message)
    passes(world, 10.0)
    assert world.log == ["start 0", "start 5"]


def test_an_unknown_sender_is_the_session_that_has_just_left(machine: ModuleType) -> None:
    """Rather than the oldest open one; but only during its stop_delay."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    leaving = world.join(FOR_EVER)
    world.leave(leaving)
    assert world.guess() is leaving
    world.advance(0.5)
    assert world.guess() is world.sessions[0]


def test_of_two_that_have_just_left_the_later_one_is_the_unknown_sender(machine: ModuleType) -> None:
    """Its reply is the one that is about to be sent."""
    world = confirmed(machine)
    second = world.join(FOR_EVER)
    world.leave(world.sessions[0])
    world.advance(0.25)
    world.leave(second)
    assert world.guess() is second
    assert world.indicator.guess_sender(world.now) is second.state


def test_a_session_whose_stop_delay_is_over_is_not_the_unknown_sender(machine: ModuleType) -> None:
    """Even if the loop is late: the message is reported before ``next`` is asked again."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    world.leave(world.sessions[0])
    assert world.indicator.guess_sender(1.25) is world.sessions[0].state
    assert world.indicator.guess_sender(1.5) is world.sessions[1].state


def test_a_message_reported_after_its_senders_end_does_not_quiet_a_neighbour(
    machine: ModuleType,
) -> None:
    """Sent at 1 by the oldest session, which left at 1.25; reported at 1.5. The neighbour goes on typing."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    world.advance(0.25)
    world.leave(world.sessions[0])
    world.advance(0.25)
    assert world.guess(0.5) is world.sessions[0]


def test_an_older_message_reported_late_does_not_shorten_the_quiet_after_a_newer_one(machine: ModuleType) -> None:
    """The message at 10 quiets until 15; the one at 9, reported later, must not make that 14."""
    world = confirmed(machine, SessionOptions(resume_after=5.0))
    world.advance(9.0)
    world.sent(world.sessions[0])
    world.sent(world.sessions[0], late=1.0)
    passes(world, 10.0)
    assert world.log == ["start 0", "start 15"]


def test_a_session_is_shown_again_resume_after_its_message(machine: ModuleType) -> None:
    """Message at 1.25: 5 s later here; with 0 s, not before the message has settled."""
    for resume_after, shown_at in ((5.0, "6.25"), (0.0, "4.25")):
        world = confirmed(machine, SessionOptions(resume_after=resume_after))
        world.advance(0.25)
        world.sent(world.sessions[0])
        passes(world, 10.0)
        assert world.log == ["start 0", f"start {shown_at}"]


def test_resume_brings_it_back_after_a_message_that_has_settled(machine: ModuleType) -> None:
    """Resumed at 2, a second after the message: start at 4.25."""
    world = confirmed(machine)
    world.advance(0.25)
    world.sent(world.sessions[0])
    world.advance(0.75)
    world.resume(world.sessions[0])
    passes(world, 10.0)
    assert world.log == ["start 0", "start 4.25"]


# -- 4.5 No needless request


def test_a_message_that_no_start_overlapped_needs_no_stop(machine: ModuleType) -> None:
    """Inside the block, or in its stop_delay."""
    world = confirmed(machine)
    world.advance(1.0)
    message = world.send(world.sessions[0])
    world.leave(world.sessions[0])
    world.advance(2.0)
    world.end(message)
    passes(world, 20.0)
    assert world.log == ["start 0"]


def test_a_message_in_the_stop_delay_makes_the_stop_needless(machine: ModuleType) -> None:
    """Left at 1, sent at 1.25, the stop would have been due at 1.5."""
    world = confirmed(machine)
    world.leave(world.sessions[0])
    world.advance(0.25)
    message = world.send(world.guess())
    world.advance(4.0)
    world.end(message)
    passes(world, 20.0)
    assert world.log == ["start 0"]


def test_a_message_that_failed_leaves_the_stop_owed(machine: ModuleType) -> None:
    """It goes out the moment the failure is known."""
    world = confirmed(machine)
    message = world.send(world.sessions[0])
    world.leave(world.sessions[0])
    world.advance(2.0)
    world.end(message, accepted=False)
    assert world.log == ["start 0", "stop 3"]


def test_overlapping_sessions_share_one_start_one_refresh_and_one_stop(machine: ModuleType) -> None:
    """The refresh comes 60 s after the answer; the stop after the last one's stop_delay."""
    world = confirmed(machine)
    world.advance(1.0)
    second = world.join(FOR_EVER)
    passes(world, 60.0)
    world.leave(world.sessions[0])
    passes(world, 1.0)
    world.leave(second)
    passes(world, 10.0)
    assert world.log == ["start 0", "start 61", "stop 63.5"]


def test_a_session_that_begins_while_the_indicator_is_still_up_sends_nothing(machine: ModuleType) -> None:
    """Not until the refresh is due, 60 s after the first session's start."""
    world = confirmed(machine)
    world.leave(world.sessions[0])
    world.advance(0.25)
    world.join(FOR_EVER)
    passes(world, 70.0)
    assert world.log == ["start 0", "start 61"]


def test_no_start_goes_out_while_a_message_is_in_flight_nor_before_it_has_settled(
    machine: ModuleType,
) -> None:
    """The session joins during it, and waits until 3 s after its acceptance."""
    world = World(machine)
    message = world.send(None)
    world.advance(1.0)
    world.join(FOR_EVER)
    world.advance(4.0)
    world.end(message)
    passes(world, 10.0)
    assert world.log == ["start 8"]


def test_a_message_that_failed_keeps_no_start_waiting(machine: ModuleType) -> None:
    """The start goes out at once."""
    world = World(machine)
    message = world.send(None)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.end(message, accepted=False)
    assert world.log == ["start 1"]


def test_a_message_that_takes_for_ever_keeps_no_start_waiting_for_longer_than_two_minutes(
    machine: ModuleType,
) -> None:
    """Begun at 0 and 30, never answered: the start goes out at 150."""
    world = World(machine)
    world.send(None)
    world.advance(30.0)
    world.send(None)
    world.join(FOR_EVER)
    world.advance(200.0)
    assert world.log[0] == "start 150"


def test_a_chat_is_forgotten_although_its_message_takes_for_ever(machine: ModuleType) -> None:
    """After two minutes; the indicator asks to be woken then."""
    world = World(machine)
    world.send(None)
    assert world.wake == 120.0
    world.advance(119.75)
    assert not world.indicator.forgettable(world.now)
    world.advance(0.25)
    assert world.indicator.forgettable(world.now)


def test_a_message_answered_after_more_than_two_minutes_still_counts(machine: ModuleType) -> None:
    """Begun at 1, accepted at 131. Its sender's start at 121 overlapped it: one stop at 134. For a neighbour there
    is one more start instead."""
    for neighbours, last in ((0, "stop 134"), (1, "start 134")):
        world = confirmed(machine)
        message = world.send(world.sessions[0])
        for _ in range(neighbours):
            world.join(FOR_EVER)
        passes(world, 130.0)
        world.end(message)
        passes(world, 20.0)
        assert world.log == ["start 0", "start 121", last]


def test_of_two_messages_the_later_one_settles_it(machine: ModuleType) -> None:
    """Even if it is reported first."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.sent(world.sessions[0])
    world.sent(world.sessions[0], late=1.0)
    passes(world, 10.0)
    assert world.log == ["start 0", "start 5"]


def test_a_message_known_only_by_its_answer_counts_in_retrospect(machine: ModuleType) -> None:
    """Begun at 0.5, while the start was in flight until 1; accepted at 4: the stop follows at 7."""
    world = confirmed(machine)
    world.advance(3.0)
    world.sent(world.sessions[0], took=3.5)
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 7"]


def test_mark_sent_counts_at_the_moment_of_the_call(machine: ModuleType) -> None:
    """After the start's answer: no stop. In the same instant: nobody knows the order, so one stop."""
    world = confirmed(machine)
    world.advance(0.25)
    world.sent(world.sessions[0])
    passes(world, 20.0)
    assert world.log == ["start 0"]
    world = confirmed(machine)
    world.sent(world.sessions[0])
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 4"]


# -- 4.6 No gap


def test_a_refresh_is_due_an_interval_after_the_last_starts_answer(machine: ModuleType) -> None:
    """Answered at 1, and from then on at once."""
    world = confirmed(machine)
    passes(world, 190.0)
    assert world.log == ["start 0", "start 61", "start 121", "start 181"]


def test_overlapping_sessions_use_the_smallest_interval(machine: ModuleType) -> None:
    """And the larger one again when the smaller has left."""
    world = confirmed(machine)
    second = world.join(EVERY_20)
    passes(world, 30.0)
    world.leave(second)
    passes(world, 60.0)
    assert world.log == ["start 0", "start 21", "start 81"]


def test_a_failed_refresh_is_tried_again_within_a_quarter_of_the_interval(machine: ModuleType) -> None:
    """The retry that was to come after 40 s comes after 15."""
    world = confirmed(machine)
    world.advance(60.0)
    world.answer("UNKNOWN", retry_in=40.0)
    passes(world, 20.0)
    assert world.log == ["start 0", "start 61", "start 76"]


def test_a_refresh_that_was_given_up_begins_anew_a_quarter_after_it_began(machine: ModuleType) -> None:
    """Two attempts, at 61 and 63, then a new cycle at 76."""
    world = confirmed(machine)
    world.advance(60.0)
    world.answer("NOT_APPLIED", retry_in=2.0)
    world.advance(2.0)
    world.answer("NOT_APPLIED")
    passes(world, 20.0)
    assert world.log == ["start 0", "start 61", "start 63", "start 76"]


def test_a_new_cycle_waits_for_the_interval_of_those_who_want_the_indicator_then(machine: ModuleType) -> None:
    """Given up at 0. The first session alone would wait for 150 s, or for ever; beside a second one 15 s are enough."""
    for interval, alone in ((600.0, "start 150"), (inf, None)):
        for leaves in (False, True):
            world = World(machine)
            world.join(SessionOptions(refresh_interval=interval, max_duration=None))
            world.answer("NOT_APPLIED")
            world.advance(1.0)
            second = world.join(FOR_EVER)
            world.advance(1.0)
            if leaves:
                world.leave(second, error=True)
            world.advance(400.0)
            assert world.log[1:2] == ([] if leaves and alone is None else [alone] if leaves else ["start 15"])


def test_the_retry_of_a_refresh_waits_for_the_interval_of_those_who_want_it_then(machine: ModuleType) -> None:
    """Failed at 81, to be retried at 101, after a quarter of 80 s; beside one that refreshes every 20 s, at 86."""
    world = confirmed(machine, SessionOptions(refresh_interval=80.0, max_duration=None))
    world.advance(80.0)
    world.answer("UNKNOWN", retry_in=40.0)
    world.advance(1.0)
    world.join(EVERY_20)
    world.advance(10.0)
    assert world.log == ["start 0", "start 81", "start 86"]


def test_a_message_that_failed_does_not_put_off_the_refresh(machine: ModuleType) -> None:
    """It is due when it would have been; one that became due meanwhile goes out at its end."""
    world = confirmed(machine)
    world.advance(50.0)
    message = world.send(world.sessions[0])
    world.advance(20.0)
    world.end(message, accepted=False)
    assert world.log == ["start 0", "start 71"]


def test_an_endless_refresh_interval_still_shows_the_indicator_once(machine: ModuleType) -> None:
    """No refresh, but a start and a stop."""
    world = confirmed(machine, SessionOptions(refresh_interval=inf, max_duration=None))
    passes(world, 80.0)
    world.leave(world.sessions[0], error=True)
    assert world.log == ["start 0", "stop 81"]


def test_a_session_that_begins_when_the_indicator_has_faded_is_shown_at_once(machine: ModuleType) -> None:
    """The first session's next refresh would come after 300 s; the second may see nothing 85 s after the start."""
    rarely = SessionOptions(refresh_interval=300.0, max_duration=None)
    for seconds, log in ((84.75, ["start 0"]), (85.0, ["start 0", "start 86"])):
        world = confirmed(machine, rarely)
        world.advance(seconds)
        world.join(rarely)
        assert world.log == log


# -- 4.7 and 4.8 Retries and refusals


def test_a_session_does_not_wait_for_the_retries_of_an_earlier_one(machine: ModuleType) -> None:
    """Which has left."""
    world = World(machine)
    session = world.join()
    world.answer("NOT_APPLIED", retry_in=8.0)
    world.leave(session, error=True)
    world.join()
    assert world.log == ["start 0", "start 0"]
    assert world.indicator.attempt == 1


def test_a_neighbour_waits_for_the_retry_of_the_shared_start(machine: ModuleType) -> None:
    """The first one still wants it, so the next attempt serves both."""
    world = World(machine)
    world.join()
    world.answer("NOT_APPLIED", retry_in=8.0)
    world.join()
    world.advance(8.0)
    assert world.log == ["start 0", "start 8"]
    assert world.indicator.attempt == 2


def test_a_retry_after_holds_for_the_sessions_to_come(machine: ModuleType) -> None:
    """30 s for all, however early the retry was to be."""
    world = World(machine)
    session = world.join()
    world.answer("NOT_APPLIED", retry_in=2.0, retry_after=30.0)
    world.leave(session, error=True)
    world.advance(1.0)
    world.join()
    world.advance(40.0)
    assert world.log[:2] == ["start 0", "start 30"]


def test_a_retry_after_that_is_sooner_than_the_back_off_does_not_shorten_it(machine: ModuleType) -> None:
    """Zero, negative or short; for starts and for stops."""
    for retry_after in (0.0, -5.0, 1.5):
        world = World(machine)
        world.join()
        world.answer("NOT_APPLIED", retry_in=2.0, retry_after=retry_after)
        world.advance(2.0)
        world.answer("ACCEPTED")
        world.leave(world.sessions[0], error=True)
        world.answer("NOT_APPLIED", retry_in=2.0, retry_after=retry_after)
        world.advance(2.0)
        assert world.log == ["start 0", "start 2", "stop 2", "stop 4"]


def test_a_stop_waits_for_a_retry_after(machine: ModuleType) -> None:
    """Longer than the back-off; unless it was given up."""
    for retry_in, stops in ((2.0, ["stop 1", "stop 31"]), (None, ["stop 1"])):
        world = confirmed(machine)
        world.leave(world.sessions[0], error=True)
        world.answer("NOT_APPLIED", retry_in=retry_in, retry_after=30.0)
        passes(world, 50.0)
        assert world.log == ["start 0", *stops]


def test_a_retry_after_holds_for_an_hour_at_most(machine: ModuleType) -> None:
    """However long the API asks to wait."""
    world = World(machine)
    world.join(FOR_EVER)
    world.answer("NOT_APPLIED", retry_in=2.0, retry_after=86_400.0)
    world.advance(4000.0)
    assert world.log[:2] == ["start 0", "start 3600"]


def test_a_session_that_wants_it_again_by_itself_waits_for_the_retry_of_its_start(machine: ModuleType) -> None:
    """Its message quiets it from 1 to 6; the start that was in flight failed at 2, to be retried at 10 or 15."""
    for retry_in, again in ((8.0, "start 10"), (None, "start 15")):
        world = World(machine)
        world.join(SessionOptions(resume_after=5.0))
        world.advance(1.0)
        world.sent(world.sessions[0])
        world.advance(1.0)
        world.answer("NOT_APPLIED", retry_in=retry_in)
        world.advance(20.0)
        assert world.log[:2] == ["start 0", again]


def test_a_refusal_holds_as_long_as_the_sessions_then_open_last(machine: ModuleType) -> None:
    """For a session that joins later too, even after ten minutes; then it gets its start."""
    world = World(machine)
    session = world.join(FOR_EVER)
    world.answer("REFUSED")
    world.advance(700.0)
    world.join(FOR_EVER)
    world.advance(10.0)
    assert world.log == ["start 0"]
    world.leave(session, error=True)
    assert world.log == ["start 0", "start 710"]


def test_a_refusal_holds_for_ten_minutes_at_least(machine: ModuleType) -> None:
    """For the sessions to come."""
    world = World(machine)
    session = world.join(FOR_EVER)
    world.answer("REFUSED")
    world.leave(session, error=True)
    world.advance(10.0)
    world.join(FOR_EVER)
    world.advance(595.0)
    assert world.log == ["start 0", "start 600"]


def test_a_refused_refresh_still_owes_the_stop(machine: ModuleType) -> None:
    """The earlier start shows until then."""
    world = confirmed(machine)
    world.advance(60.0)
    world.answer("REFUSED")
    world.leave(world.sessions[0], error=True)
    assert world.log == ["start 0", "start 61", "stop 61"]


# -- 4.9 and the sessions' options


def test_a_flush_waits_for_no_stop_delay(machine: ModuleType) -> None:
    """The stop goes out at once."""
    world = confirmed(machine)
    world.leave(world.sessions[0])
    world.flush()
    assert world.log == ["start 0", "stop 1"]


def test_a_flush_waits_for_no_message_to_settle(machine: ModuleType) -> None:
    """Neither one in flight nor one that was accepted."""
    for accepted in (False, True):
        world = World(machine)
        session = world.join()
        message = world.send(session)
        world.answer("ACCEPTED")
        if accepted:
            world.end(message)
        world.leave(session)
        world.flush()
        assert world.log == ["start 0", "stop 0"]


def test_a_flush_starts_nothing_before_a_message_has_settled(machine: ModuleType) -> None:
    """A session that goes on working waits as always."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.sent(world.sessions[0])
    world.flush()
    passes(world, 10.0)
    assert world.log == ["start 0", "start 5"]


def test_a_flush_does_not_apply_to_a_session_that_joins_after_it(machine: ModuleType) -> None:
    """Although it does not want the indicator yet, so that the stop is still due: its stop_delay counts."""
    world = confirmed(machine)
    world.grant(False)
    world.leave(world.sessions[0])
    world.flush()
    world.leave(world.join(SessionOptions(start_delay=2.0, stop_delay=1.0)))
    world.grant(True)
    world.advance(2.0)
    assert world.log == ["start 0", "stop 2"]


def test_a_flush_does_not_send_the_second_stop_of_a_lost_start_early(machine: ModuleType) -> None:
    """It would settle nothing."""
    world = World(machine)
    session = world.join()
    world.answer("NO_ANSWER")
    world.leave(session)
    world.flush()
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 0", "stop 5"]


def test_max_duration_stops_the_indicator_and_is_reported_once(machine: ModuleType) -> None:
    """Ten seconds of work, with five of pause in between."""
    world = confirmed(machine, SessionOptions(max_duration=10.0))
    world.advance(3.0)
    world.pause(world.sessions[0])
    passes(world, 5.0)
    world.resume(world.sessions[0])
    passes(world, 30.0)
    assert world.log == ["start 0", "stop 4", "start 9", "stop 15"]
    assert world.sessions[0].told


def test_what_has_lasted_max_duration_is_over_for_good(machine: ModuleType) -> None:
    """At that very moment, and although a pause that began before it is reported later."""
    world = confirmed(machine, SessionOptions(max_duration=10.0))
    assert [world.sessions[0].state.wants(at) for at in (9.75, 10.0)] == [True, False]
    world.advance(9.0)
    world.pause(world.sessions[0], late=1.0)
    world.answer("ACCEPTED")
    world.advance(10.0)
    world.resume(world.sessions[0])
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 10"]


def test_nothing_wakes_a_session_whose_max_duration_is_over(machine: ModuleType) -> None:
    """Not even the end of the quiet after a message."""
    world = confirmed(machine, SessionOptions(max_duration=10.0, resume_after=30.0))
    world.advance(1.0)
    world.sent(world.sessions[0])
    world.advance(10.0)
    assert world.wake == inf


def test_a_second_pause_does_not_shorten_the_first(machine: ModuleType) -> None:
    """From 3 to 8, although asked for again at 6: five seconds do not count towards max_duration."""
    world = confirmed(machine, SessionOptions(max_duration=10.0))
    for seconds in (2.0, 3.0):
        world.advance(seconds)
        world.pause(world.sessions[0])
    world.answer("ACCEPTED")
    world.advance(2.0)
    world.resume(world.sessions[0])
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 3", "start 8", "stop 15"]


def test_a_session_of_another_process_does_not_leave(machine: ModuleType) -> None:
    """A forked child ends a session of its parent, and a new session of the child has the same chat."""
    world = confirmed(machine)
    stranger = machine.SessionState(FOR_EVER, 0.0)
    assert world.indicator.leave(stranger, world.now, 0.0) is False
    assert stranger.is_open


def test_short_work_within_the_start_delay_sends_nothing(machine: ModuleType) -> None:
    """Done after 1.75 s of 2."""
    world = World(machine)
    session = world.join(SessionOptions(start_delay=2.0))
    world.advance(1.75)
    world.leave(session)
    passes(world, 10.0)
    assert world.log == []


def test_a_start_delay_ends_with_a_start(machine: ModuleType) -> None:
    """At 2, if the work takes longer."""
    world = World(machine)
    world.join(SessionOptions(start_delay=2.0))
    passes(world, 10.0)
    assert world.log == ["start 2"]


def test_a_pause_takes_it_down_at_once_and_resume_brings_it_back(machine: ModuleType) -> None:
    """The start waits for the stop's answer."""
    world = confirmed(machine)
    world.pause(world.sessions[0])
    world.advance(1.0)
    world.resume(world.sessions[0])
    world.advance(1.0)
    world.answer("ACCEPTED")
    assert world.log == ["start 0", "stop 1", "start 3"]


# -- 4.10 Webhooks


def observed(machine: ModuleType) -> World:
    """A world at time 2 with one session, whose start was accepted at 1; webhooks tell of its messages."""
    world = confirmed(machine)
    world.observes = True
    world.advance(1.0)
    return world


def sent_beside_another(machine: ModuleType) -> World:
    """At time 2: the first of two sessions has sent a message, accepted now. The second wants the indicator."""
    world = World(machine, observes=True)
    world.join(FOR_EVER)
    world.answer("ACCEPTED")
    world.join(FOR_EVER)
    world.advance(2.0)
    world.sent(world.sessions[0])
    return world


def test_the_start_after_a_message_goes_out_once_it_was_delivered(machine: ModuleType) -> None:
    """At 3, not at 5."""
    world = sent_beside_another(machine)
    world.advance(1.0)
    world.deliver(world.messages[0])
    assert world.log == ["start 0", "start 3"]


def test_the_start_after_a_message_goes_out_half_a_second_after_it_was_sent(machine: ModuleType) -> None:
    """The device clears on delivery, which follows: 3 and a half, not 5."""
    world = sent_beside_another(machine)
    world.advance(1.0)
    world.went_out(world.messages[0])
    passes(world, 1.0)
    assert world.log == ["start 0", "start 3.5"]


def test_a_webhook_never_makes_a_message_settle_later(machine: ModuleType) -> None:
    """Sent at 2, told at 4.75: the start goes out at 5 as ever."""
    world = sent_beside_another(machine)
    world.advance(2.75)
    world.went_out(world.messages[0])
    passes(world, 1.0)
    assert world.log == ["start 0", "start 5"]


def test_a_delivered_message_does_not_settle_the_other_one(machine: ModuleType) -> None:
    """The second message was accepted at 3: the start goes out at 6."""
    world = sent_beside_another(machine)
    world.advance(1.0)
    world.sent(None)
    world.deliver(world.messages[0])
    passes(world, 4.0)
    assert world.log == ["start 0", "start 6"]


def test_a_message_that_clears_later_than_expected_is_followed_by_a_start(machine: ModuleType) -> None:
    """The start at 5 was cleared at 7."""
    world = sent_beside_another(machine)
    passes(world, 5.0)
    world.deliver(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0", "start 5", "start 7"]


def test_a_webhook_that_comes_late_changes_nothing(machine: ModuleType) -> None:
    """The message was delivered at 4 and has settled at 5; it is told at 7."""
    world = sent_beside_another(machine)
    passes(world, 5.0)
    world.deliver(world.messages[0], late=3.0)
    passes(world, 10.0)
    assert world.log == ["start 0", "start 5"]


def test_a_webhook_about_a_message_that_is_forgotten_changes_nothing(machine: ModuleType) -> None:
    """Delivered at 4, told more than a minute later."""
    world = sent_beside_another(machine)
    passes(world, 70.0)
    before = list(world.log)
    world.deliver(world.messages[0], late=68.0)
    assert world.log == before


def test_a_message_that_failed_leaves_no_ghost(machine: ModuleType) -> None:
    """It had cleared nothing: one stop, the moment that is known."""
    world = observed(machine)
    session = world.sessions[0]
    world.sent(session)
    world.leave(session)
    passes(world, 20.0)
    world.fail(world.messages[0])
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 22"]


def test_the_session_that_sent_a_message_stays_quiet_when_it_fails(machine: ModuleType) -> None:
    """Its work on the message is done; it can resume."""
    world = observed(machine)
    world.sent(world.sessions[0])
    world.fail(world.messages[0])
    passes(world, 20.0)
    assert world.log == ["start 0", "stop 2"]
    world.resume(world.sessions[0])
    assert world.log == ["start 0", "stop 2", "start 22"]


def test_a_message_that_failed_need_not_settle(machine: ModuleType) -> None:
    """The other session's start goes out at once."""
    world = sent_beside_another(machine)
    world.advance(1.0)
    world.fail(world.messages[0])
    assert world.log == ["start 0", "start 3"]


def test_a_failed_message_needs_no_stop_if_another_has_cleared_the_indicator(machine: ModuleType) -> None:
    """The later one was accepted; it fails, too, 10 s later: now a stop is owed."""
    world = observed(machine)
    world.leave(world.sessions[0])
    for _ in range(2):
        world.sent(None)
    passes(world, 10.0)
    world.fail(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0"]
    world.fail(world.messages[1])
    assert world.log == ["start 0", "stop 22"]


def test_a_failed_message_needs_no_stop_if_a_delivered_one_has_cleared_the_indicator(machine: ModuleType) -> None:
    """The later one, which is no longer remembered."""
    world = observed(machine)
    world.leave(world.sessions[0])
    for _ in range(2):
        world.sent(None)
    world.deliver(world.messages[1])
    world.fail(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0"]


def test_a_failed_message_needs_no_stop_if_one_was_accepted_since(machine: ModuleType) -> None:
    """It was for the start of a later session."""
    world = observed(machine)
    world.leave(world.sessions[0])
    world.sent(None)
    passes(world, 4.0)
    world.leave(world.join(), error=True)
    world.answer("ACCEPTED")
    passes(world, 4.0)
    assert world.log == ["start 0", "start 6", "stop 6"]
    world.fail(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0", "start 6", "stop 6"]


def test_a_failed_message_needs_another_stop_if_a_lost_start_may_have_come_after_the_last(machine: ModuleType) -> None:
    """The start may take effect until 5, the stop went out at 0.25, the message that was to clear both at 6."""
    world = World(machine, observes=True)
    session = world.join()
    world.answer("NO_ANSWER", retry_in=8.0)
    world.advance(0.25)
    world.leave(session, error=True)  # its stop goes out
    world.advance(4.5)
    message = world.send(None)
    world.advance(0.25)
    world.answer("ACCEPTED")
    world.end(message)
    world.fail(message)
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 0.25", "stop 5"]


def test_a_stop_that_was_given_up_is_not_owed_again_when_a_message_fails(machine: ModuleType) -> None:
    """Everything that could be done was done."""
    world = observed(machine)
    world.leave(world.sessions[0])
    world.sent(None)
    world.advance(4.0)
    world.leave(world.join(), error=True)
    world.answer("ACCEPTED")
    world.answer("NOT_APPLIED")  # the stop
    world.fail(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0", "start 6", "stop 6"]


def test_a_message_is_remembered_for_a_minute(machine: ModuleType) -> None:
    """After that it can't fail any more; and the chat is forgotten."""
    world = observed(machine)
    world.leave(world.sessions[0])
    world.sent(None)
    world.advance(59.75)
    assert not world.indicator.forgettable(world.now)
    world.advance(0.25)
    assert world.indicator.forgettable(world.now)
    world.fail(world.messages[0])
    passes(world, 10.0)
    assert world.log == ["start 0"]


def test_somebody_elses_message_quiets_one_session_and_is_followed_by_a_start_for_the_other(
    machine: ModuleType,
) -> None:
    """At once: it has been delivered. The oldest session is quiet from now on."""
    world = confirmed(machine)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.observe()
    world.answer("ACCEPTED")
    assert world.log == ["start 0", "start 2"]
    world.leave(world.sessions[1], error=True)
    assert world.log == ["start 0", "start 2", "stop 2"]


def test_somebody_elses_message_does_not_clear_what_may_have_come_after_it(machine: ModuleType) -> None:
    """When it cleared is known only by Linq's clock: one stop, perhaps for nothing."""
    world = confirmed(machine)
    world.observe()
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 1"]


def test_a_session_that_began_after_somebody_elses_message_is_not_quieted_by_it(machine: ModuleType) -> None:
    """The message went out 1 s ago; but it has cleared the indicator, or so one must think."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("ACCEPTED")
    world.advance(1.0)
    world.join(FOR_EVER)
    world.answer("ACCEPTED")
    world.observe(late=1.0)
    world.answer("ACCEPTED")
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 1", "start 2", "start 2"]


def test_a_start_in_flight_may_have_come_before_somebody_elses_message(machine: ModuleType) -> None:
    """It was sent at 0 and is answered at 2; the message is told at 1."""
    world = World(machine)
    world.join(FOR_EVER)
    world.join(FOR_EVER)
    world.advance(1.0)
    world.observe()
    world.advance(1.0)
    world.answer("ACCEPTED")
    assert world.log == ["start 0", "start 2"]


def test_opening_the_chat_is_answered_by_a_stop_and_a_start(machine: ModuleType) -> None:
    """Once, and then the refreshes go on."""
    world = confirmed(machine)
    world.advance(9.0)
    world.read()
    passes(world, 70.0)
    assert world.log == ["start 0", "stop 10", "start 10.25", "start 70.5"]


def test_opening_the_chat_right_after_a_start_means_nothing(machine: ModuleType) -> None:
    """It is shown anew only if it was up for 3 s."""
    world = confirmed(machine)
    world.advance(2.75)
    world.read()
    passes(world, 10.0)
    assert world.log == ["start 0"]


def test_a_stop_for_showing_it_again_is_not_tried_again_if_it_fails(machine: ModuleType) -> None:
    """It is still up, and wanted."""
    world = confirmed(machine)
    world.advance(9.0)
    world.read()
    world.answer("NOT_APPLIED", retry_in=2.0)
    passes(world, 40.0)
    assert world.log == ["start 0", "stop 10"]


def test_opening_the_chat_is_answered_by_nothing_that_could_leave_it_dark(machine: ModuleType) -> None:
    """After the stop no start could follow: the chat refuses them, Retry-After holds them back, or they fail."""
    for outcome, retry_in, retry_after in (("REFUSED", None, 0.0), ("NOT_APPLIED", 2.0, 30.0), ("UNKNOWN", 2.0, 0.0)):
        world = confirmed(machine, SessionOptions(refresh_interval=20.0, max_duration=None))
        world.advance(20.0)
        world.answer(outcome, retry_in=retry_in, retry_after=retry_after)
        world.advance(1.0)
        world.read()
        assert world.log == ["start 0", "start 21"]


def test_opening_the_chat_while_something_goes_on_means_nothing(machine: ModuleType) -> None:
    """A message is in flight, a request is, or nobody wants the indicator."""
    world = confirmed(machine)
    world.advance(9.0)
    message = world.send(None)
    world.read()
    world.end(message, accepted=False)
    world.leave(world.sessions[0])
    world.read()
    assert world.log == ["start 0"]
    passes(world, 1.0)
    assert world.log == ["start 0", "stop 10.5"]
    world = confirmed(machine, EVERY_20)
    world.advance(20.0)
    world.read()
    passes(world, 10.0)
    assert world.log == ["start 0", "start 21"]


def test_opening_the_chat_while_a_start_is_to_be_repeated_means_nothing(machine: ModuleType) -> None:
    """A stop was lost at 1; the start after it is repeated at 6 anyway."""
    world = confirmed(machine)
    world.leave(world.sessions[0], error=True)
    world.answer("NO_ANSWER")
    world.join(FOR_EVER)
    world.answer("ACCEPTED")
    world.advance(4.0)
    world.read()
    passes(world, 10.0)
    assert world.log == ["start 0", "stop 1", "start 1", "start 6"]
