"""When starts are suspended for a whole manager, and who probes. All times are given."""

from math import inf

import pytest

from linq_typing._gate import FAILURES_IN_A_ROW, Change, Gate, Verdict


def _start(
    gate: Gate[str], chat: str, verdict: Verdict = Verdict.DOWN, now: float = 0.0, *, others_work: bool = True
) -> Change | None:
    """A start of the chat goes out and is answered."""
    return gate.ended(chat, verdict, now, probe=gate.began(chat), others_work=others_work)


def _late(gate: Gate[str], verdict: Verdict, now: float) -> Change | None:
    """The answer to a start that was under way when the gate closed."""
    return gate.ended("late", verdict, now, probe=False, others_work=True)


def _fail(gate: Gate[str], times: int, verdict: Verdict = Verdict.DOWN, now: float = 0.0) -> list[Change | None]:
    """Two chats fail by turns."""
    return [_start(gate, "ab"[turn % 2], verdict, now) for turn in range(times)]


def _closed(verdict: Verdict = Verdict.BAD_KEY) -> Gate[str]:
    gate: Gate[str] = Gate()
    _fail(gate, FAILURES_IN_A_ROW if verdict is Verdict.DOWN else 1, verdict)
    assert gate.suspended
    return gate


def _may_start(gate: Gate[str], now: float) -> bool:
    """Whether a chat that has failed may start."""
    return gate.may_start(now, untried=False)


def test_a_new_gate_is_open_and_needs_no_timer() -> None:
    """Nothing is held back, and no start is a probe."""
    gate: Gate[str] = Gate()
    assert (_may_start(gate, -1e9), gate.suspended, gate.opens_at, gate.began("a")) == (True, False, inf, False)


def test_the_fifth_failure_in_a_row_closes_it() -> None:
    """Four are bad luck, five are an API that is down."""
    gate: Gate[str] = Gate()
    assert _fail(gate, 4) == [None] * 4
    assert not gate.suspended
    assert _fail(gate, 1, now=10.0) == [Change.SUSPENDED]
    assert (_may_start(gate, 10.9), _may_start(gate, 11.0), gate.opens_at) == (False, True, 11.0)


def test_a_success_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    gate: Gate[str] = Gate()
    _fail(gate, 4)
    assert _late(gate, Verdict.UP, 0.0) is None
    assert _fail(gate, 4) == [None] * 4
    assert not gate.suspended


def test_a_bad_key_closes_it_at_once() -> None:
    """A 401 needs no second opinion."""
    assert _fail(Gate(), 1, Verdict.BAD_KEY) == [Change.SUSPENDED]


def test_one_probes_at_a_time() -> None:
    """While a probe is under way nobody else starts, however late it gets, and no timer is due."""
    gate = _closed()
    assert _may_start(gate, 1.0)
    assert gate.began("a")
    assert (_may_start(gate, 1e9), gate.opens_at) == (False, inf)


@pytest.mark.parametrize("verdict", [Verdict.DOWN, Verdict.BAD_KEY])
def test_failed_probes_double_the_pause_up_to_a_minute(verdict: Verdict) -> None:
    """1, 2, 4 ... 60 seconds, and no second SUSPENDED for the same trouble."""
    gate, now, pauses = _closed(verdict), 0.0, []
    for _ in range(8):
        pauses.append(gate.opens_at - now)
        now = gate.opens_at
        assert not _may_start(gate, now - 0.001)
        assert _may_start(gate, now)
        assert _start(gate, "a", verdict, now) is None
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_accepted_probe_opens_it_and_forgets_the_pause() -> None:
    """RECOVERED once; the next trouble starts with a second again."""
    gate = _closed()
    _start(gate, "a", Verdict.DOWN, 1.0)
    assert _start(gate, "a", Verdict.UP, 3.0) is Change.RECOVERED
    assert (gate.suspended, gate.opens_at, gate.began("a")) == (False, inf, False)
    assert _fail(gate, 5, now=100.0)[-1] is Change.SUSPENDED
    assert gate.opens_at == 101.0


def test_late_failures_of_starts_under_way_do_not_prolong_the_pause() -> None:
    """A crowd that was under way when the gate closed says nothing new."""
    gate = _closed()
    assert [_late(gate, Verdict.DOWN, 0.5) for _ in range(100)] == [None] * 100
    assert gate.opens_at == 1.0


def test_a_late_failure_leaves_the_probe_alone() -> None:
    """An answer to another start does not let a second probe out."""
    gate = _closed()
    gate.began("a")
    _late(gate, Verdict.DOWN, 1.5)
    assert not _may_start(gate, 1e9)


def test_a_late_success_opens_it() -> None:
    """Any accepted start proves that the API works."""
    gate = _closed(Verdict.DOWN)
    assert _late(gate, Verdict.UP, 0.5) is Change.RECOVERED
    assert _may_start(gate, 0.5)


def test_a_probe_that_fails_after_the_gate_was_opened_closes_nothing() -> None:
    """It counts as one failure of five."""
    gate = _closed(Verdict.DOWN)
    gate.began("a")
    _late(gate, Verdict.UP, 1.0)
    assert gate.ended("a", Verdict.DOWN, 1.1, probe=True, others_work=True) is None
    assert not gate.suspended


def test_a_bad_key_found_by_a_probe_is_told() -> None:
    """The API was down, then is up but does not know the key: that is news, once."""
    gate = _closed(Verdict.DOWN)
    changes = []
    for now in (1.0, 3.0, 7.0):
        changes.append(_start(gate, "a", Verdict.BAD_KEY, now))
    assert changes == [Change.SUSPENDED, None, None]


def test_a_probe_that_fails_in_another_way_doubles_the_pause_too() -> None:
    """The key is bad, then the API is down, then the key is bad: told once."""
    gate = _closed(Verdict.BAD_KEY)
    assert _start(gate, "a", Verdict.DOWN, 1.0) is None
    assert gate.opens_at == 3.0
    assert _start(gate, "a", Verdict.BAD_KEY, 3.0) is None
    assert gate.opens_at == 7.0


def test_a_bad_key_after_a_recovery_is_told_again() -> None:
    """The one before it is forgotten, although the API is down between."""
    gate = _closed(Verdict.BAD_KEY)
    assert _start(gate, "a", Verdict.UP, 1.0) is Change.RECOVERED
    assert _fail(gate, FAILURES_IN_A_ROW, now=2.0)[-1] is Change.SUSPENDED
    assert _start(gate, "a", Verdict.BAD_KEY, 3.0) is Change.SUSPENDED


# -- One chat that always fails must not silence the others


def test_one_chat_alone_closes_it_only_while_no_other_one_works() -> None:
    """However often it fails; the failure that finds it alone closes the gate."""
    gate: Gate[str] = Gate()
    assert [_start(gate, "a") for _ in range(100)] == [None] * 100
    assert not gate.suspended
    assert _start(gate, "a", others_work=False) is Change.SUSPENDED


def test_one_chat_that_works_alone_closes_it_with_its_fifth_failure() -> None:
    """Then nobody is silenced but itself."""
    gate: Gate[str] = Gate()
    changes = [_start(gate, "a", others_work=False) for _ in range(FAILURES_IN_A_ROW)]
    assert changes == [None] * 4 + [Change.SUSPENDED]


def test_a_second_chat_that_fails_closes_it() -> None:
    """Two chats that fail, none that works between: that is the API."""
    gate: Gate[str] = Gate()
    for _ in range(FAILURES_IN_A_ROW):
        _start(gate, "a")
    assert _start(gate, "b") is Change.SUSPENDED


def test_an_accepted_start_takes_the_evidence_back() -> None:
    """The chat that failed before it does not count as the second one."""
    gate: Gate[str] = Gate()
    _start(gate, "b")
    _start(gate, "c", Verdict.UP)
    assert [_start(gate, "a") for _ in range(10)] == [None] * 10


def test_while_only_one_chat_has_failed_another_one_may_probe_at_once() -> None:
    """During the pause; one at a time, and not the chat itself."""
    gate: Gate[str] = Gate()
    for _ in range(FAILURES_IN_A_ROW):
        _start(gate, "a", others_work=False)
    assert (gate.may_start(0.0, untried=True), gate.may_start(0.0, untried=False)) == (True, False)
    assert gate.began("b")
    assert not gate.may_start(0.0, untried=True)
    assert gate.ended("b", Verdict.UP, 0.1, probe=True, others_work=True) is Change.RECOVERED


def test_once_a_second_chat_has_failed_all_wait_for_the_end_of_the_pause() -> None:
    """Whether it was the probe, or a start that was under way."""
    for probe in (True, False):
        gate: Gate[str] = Gate()
        for _ in range(FAILURES_IN_A_ROW):
            _start(gate, "a", others_work=False)
        gate.ended("b", Verdict.DOWN, 0.0, probe=probe, others_work=True)
        assert not gate.may_start(gate.opens_at - 0.1, untried=True)
        assert gate.may_start(gate.opens_at, untried=True)


def test_after_a_bad_key_nobody_probes_before_the_end_of_the_pause() -> None:
    """One chat is evidence enough: the key is everybody's."""
    gate = _closed(Verdict.BAD_KEY)
    assert (gate.may_start(0.9, untried=True), gate.may_start(1.0, untried=True)) == (False, True)


# -- Whose turn it is to probe


def test_the_chats_that_failed_probe_after_the_others() -> None:
    """Those that closed the gate, those that probed, and those whose answers came late."""
    gate = _closed(Verdict.DOWN)
    assert set(gate.tried) == {"a", "b"}
    _start(gate, "c", now=1.0)
    _late(gate, Verdict.DOWN, 1.5)
    assert set(gate.tried) == {"a", "b", "c", "late"}


def test_a_probe_of_a_chat_that_had_its_turn_begins_a_new_round() -> None:
    """It goes out only where no other one waits."""
    gate = _closed(Verdict.DOWN)
    _start(gate, "b", now=1.0)
    assert set(gate.tried) == {"b"}
    _start(gate, "a", now=3.0)
    assert set(gate.tried) == {"a", "b"}


def test_a_new_round_of_probes_is_no_new_trial_of_the_first_chat_alone() -> None:
    """That others failed before is not forgotten: nobody probes during the pause."""
    gate = _closed(Verdict.DOWN)
    _start(gate, "b", now=1.0)
    assert not gate.may_start(1.5, untried=True)


def test_an_open_gate_tells_nobody_to_wait() -> None:
    """Neither before it closes nor after; and what was tried before does not count at the next trouble."""
    gate: Gate[str] = Gate()
    _start(gate, "a")
    assert not gate.tried
    _start(gate, "a")  # its retry is no new round
    _start(gate, "b", Verdict.BAD_KEY)
    assert set(gate.tried) == {"a", "b"}
    _start(gate, "c", Verdict.UP, 1.0)
    assert not gate.tried
    _start(gate, "c", Verdict.BAD_KEY, 2.0)
    assert set(gate.tried) == {"c"}
