"""When starts are suspended for a whole manager, and which chat probes. All times are given."""

from math import inf

import pytest

from linq_typing._core.circuit_breaker import FAILURES_IN_A_ROW, Change, CircuitBreaker, Verdict


def _start(
    breaker: CircuitBreaker[str],
    chat: str,
    verdict: Verdict = Verdict.DOWN,
    now: float = 0.0,
    *,
    others_work: bool = True,
) -> Change | None:
    """A start of the chat goes out and is answered."""
    return breaker.ended(chat, verdict, now, probe=breaker.began(chat), others_work=others_work)


def _late(breaker: CircuitBreaker[str], verdict: Verdict, now: float) -> Change | None:
    """The answer to a start that was in flight when the breaker opened."""
    return breaker.ended("late", verdict, now, probe=False, others_work=True)


def _fail(
    breaker: CircuitBreaker[str], times: int, verdict: Verdict = Verdict.DOWN, now: float = 0.0
) -> list[Change | None]:
    """Two chats fail in turn."""
    return [_start(breaker, "ab"[turn % 2], verdict, now) for turn in range(times)]


def _open(verdict: Verdict = Verdict.BAD_KEY) -> CircuitBreaker[str]:
    breaker: CircuitBreaker[str] = CircuitBreaker()
    _fail(breaker, FAILURES_IN_A_ROW if verdict is Verdict.DOWN else 1, verdict)
    assert breaker.is_open
    return breaker


def _may_start(breaker: CircuitBreaker[str], now: float) -> bool:
    """Whether a chat that has failed may start."""
    return breaker.may_start(now, untried=False)


def test_a_new_breaker_is_closed_and_needs_no_timer() -> None:
    """Nothing is held back, and no start is a probe."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    assert (_may_start(breaker, -1e9), breaker.is_open, breaker.half_open_at, breaker.began("a")) == (
        True,
        False,
        inf,
        False,
    )


def test_the_fifth_failure_in_a_row_opens_it() -> None:
    """Four are bad luck, five are an API that is down."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    assert _fail(breaker, 4) == [None] * 4
    assert not breaker.is_open
    assert _fail(breaker, 1, now=10.0) == [Change.SUSPENDED]
    assert (_may_start(breaker, 10.9), _may_start(breaker, 11.0), breaker.half_open_at) == (False, True, 11.0)


def test_a_success_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    _fail(breaker, 4)
    assert _late(breaker, Verdict.UP, 0.0) is None
    assert _fail(breaker, 4) == [None] * 4
    assert not breaker.is_open


def test_a_bad_key_opens_it_at_once() -> None:
    """A 401 needs no second opinion."""
    assert _fail(CircuitBreaker(), 1, Verdict.BAD_KEY) == [Change.SUSPENDED]


def test_one_probes_at_a_time() -> None:
    """While a probe is in flight no other start goes out, however late it gets, and no timer is due."""
    breaker = _open()
    assert _may_start(breaker, 1.0)
    assert breaker.began("a")
    assert (_may_start(breaker, 1e9), breaker.half_open_at) == (False, inf)


@pytest.mark.parametrize("verdict", [Verdict.DOWN, Verdict.BAD_KEY])
def test_failed_probes_double_the_pause_up_to_a_minute(verdict: Verdict) -> None:
    """1, 2, 4 ... 60 seconds, and no second SUSPENDED for the same trouble."""
    breaker, now, pauses = _open(verdict), 0.0, []
    for _ in range(8):
        pauses.append(breaker.half_open_at - now)
        now = breaker.half_open_at
        assert not _may_start(breaker, now - 0.001)
        assert _may_start(breaker, now)
        assert _start(breaker, "a", verdict, now) is None
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_accepted_probe_closes_it_and_forgets_the_pause() -> None:
    """RECOVERED once; the next trouble starts with a second again."""
    breaker = _open()
    _start(breaker, "a", Verdict.DOWN, 1.0)
    assert _start(breaker, "a", Verdict.UP, 3.0) is Change.RECOVERED
    assert (breaker.is_open, breaker.half_open_at, breaker.began("a")) == (False, inf, False)
    assert _fail(breaker, 5, now=100.0)[-1] is Change.SUSPENDED
    assert breaker.half_open_at == 101.0


def test_late_failures_of_starts_in_flight_do_not_prolong_the_pause() -> None:
    """A crowd that was in flight when the breaker opened says nothing new."""
    breaker = _open()
    assert [_late(breaker, Verdict.DOWN, 0.5) for _ in range(100)] == [None] * 100
    assert breaker.half_open_at == 1.0


def test_a_late_failure_leaves_the_probe_alone() -> None:
    """An answer to another start does not let a second probe out."""
    breaker = _open()
    breaker.began("a")
    _late(breaker, Verdict.DOWN, 1.5)
    assert not _may_start(breaker, 1e9)


def test_a_late_success_closes_it() -> None:
    """Any accepted start proves that the API works."""
    breaker = _open(Verdict.DOWN)
    assert _late(breaker, Verdict.UP, 0.5) is Change.RECOVERED
    assert _may_start(breaker, 0.5)


def test_a_probe_that_fails_after_the_breaker_was_closed_opens_nothing() -> None:
    """It counts as one failure of five."""
    breaker = _open(Verdict.DOWN)
    breaker.began("a")
    _late(breaker, Verdict.UP, 1.0)
    assert breaker.ended("a", Verdict.DOWN, 1.1, probe=True, others_work=True) is None
    assert not breaker.is_open


def test_a_bad_key_found_by_a_probe_is_told() -> None:
    """The API was down, then is up but does not know the key: that is news, once."""
    breaker = _open(Verdict.DOWN)
    changes = []
    for now in (1.0, 3.0, 7.0):
        changes.append(_start(breaker, "a", Verdict.BAD_KEY, now))
    assert changes == [Change.SUSPENDED, None, None]


def test_a_probe_that_fails_in_another_way_doubles_the_pause_too() -> None:
    """The key is bad, then the API is down, then the key is bad: told once."""
    breaker = _open(Verdict.BAD_KEY)
    assert _start(breaker, "a", Verdict.DOWN, 1.0) is None
    assert breaker.half_open_at == 3.0
    assert _start(breaker, "a", Verdict.BAD_KEY, 3.0) is None
    assert breaker.half_open_at == 7.0


def test_a_bad_key_after_a_recovery_is_told_again() -> None:
    """The one before it is forgotten, although the API is down between."""
    breaker = _open(Verdict.BAD_KEY)
    assert _start(breaker, "a", Verdict.UP, 1.0) is Change.RECOVERED
    assert _fail(breaker, FAILURES_IN_A_ROW, now=2.0)[-1] is Change.SUSPENDED
    assert _start(breaker, "a", Verdict.BAD_KEY, 3.0) is Change.SUSPENDED


# -- One chat that always fails must not suspend the others


def test_one_chat_alone_opens_it_only_while_no_other_one_works() -> None:
    """However often it fails; the failure that finds it alone opens the breaker."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    assert [_start(breaker, "a") for _ in range(100)] == [None] * 100
    assert not breaker.is_open
    assert _start(breaker, "a", others_work=False) is Change.SUSPENDED


def test_one_chat_that_works_alone_opens_it_with_its_fifth_failure() -> None:
    """Then no other chat is affected."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    changes = [_start(breaker, "a", others_work=False) for _ in range(FAILURES_IN_A_ROW)]
    assert changes == [None] * 4 + [Change.SUSPENDED]


def test_a_second_chat_that_fails_opens_it() -> None:
    """Two chats that fail, none that works between: that is the API."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    for _ in range(FAILURES_IN_A_ROW):
        _start(breaker, "a")
    assert _start(breaker, "b") is Change.SUSPENDED


def test_an_accepted_start_forgets_the_failures() -> None:
    """The chat that failed before it does not count as the second one."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    _start(breaker, "b")
    _start(breaker, "c", Verdict.UP)
    assert [_start(breaker, "a") for _ in range(10)] == [None] * 10


def test_while_only_one_chat_has_failed_another_one_may_probe_at_once() -> None:
    """During the pause; one at a time, and not the chat itself."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    for _ in range(FAILURES_IN_A_ROW):
        _start(breaker, "a", others_work=False)
    assert (breaker.may_start(0.0, untried=True), breaker.may_start(0.0, untried=False)) == (True, False)
    assert breaker.began("b")
    assert not breaker.may_start(0.0, untried=True)
    assert breaker.ended("b", Verdict.UP, 0.1, probe=True, others_work=True) is Change.RECOVERED


def test_once_a_second_chat_has_failed_all_wait_until_the_pause_is_over() -> None:
    """Whether it was the probe, or a start that was in flight."""
    for probe in (True, False):
        breaker: CircuitBreaker[str] = CircuitBreaker()
        for _ in range(FAILURES_IN_A_ROW):
            _start(breaker, "a", others_work=False)
        breaker.ended("b", Verdict.DOWN, 0.0, probe=probe, others_work=True)
        assert not breaker.may_start(breaker.half_open_at - 0.1, untried=True)
        assert breaker.may_start(breaker.half_open_at, untried=True)


def test_after_a_bad_key_no_chat_probes_before_the_pause_is_over() -> None:
    """The failure of one chat is enough: all chats use the same key."""
    breaker = _open(Verdict.BAD_KEY)
    assert (breaker.may_start(0.9, untried=True), breaker.may_start(1.0, untried=True)) == (False, True)


# -- Which chat probes next


def test_the_chats_that_have_failed_probe_after_the_others() -> None:
    """Those that opened the breaker, those that probed, and those whose answers came late."""
    breaker = _open(Verdict.DOWN)
    assert set(breaker.tried) == {"a", "b"}
    _start(breaker, "c", now=1.0)
    _late(breaker, Verdict.DOWN, 1.5)
    assert set(breaker.tried) == {"a", "b", "c", "late"}


def test_a_probe_of_a_chat_that_had_its_turn_begins_a_new_round() -> None:
    """It goes out only if no other one waits."""
    breaker = _open(Verdict.DOWN)
    _start(breaker, "b", now=1.0)
    assert set(breaker.tried) == {"b"}
    _start(breaker, "a", now=3.0)
    assert set(breaker.tried) == {"a", "b"}


def test_a_new_round_of_probes_does_not_forget_that_several_chats_failed() -> None:
    """So no chat may probe during the pause."""
    breaker = _open(Verdict.DOWN)
    _start(breaker, "b", now=1.0)
    assert not breaker.may_start(1.5, untried=True)


def test_a_closed_breaker_names_no_chats_to_avoid() -> None:
    """Neither before it opens nor after; and those of the last time are forgotten when it opens again."""
    breaker: CircuitBreaker[str] = CircuitBreaker()
    _start(breaker, "a")
    assert not breaker.tried
    _start(breaker, "a")  # its retry is no new round
    _start(breaker, "b", Verdict.BAD_KEY)
    assert set(breaker.tried) == {"a", "b"}
    _start(breaker, "c", Verdict.UP, 1.0)
    assert not breaker.tried
    _start(breaker, "c", Verdict.BAD_KEY, 2.0)
    assert set(breaker.tried) == {"c"}
