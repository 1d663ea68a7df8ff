"""When starts are suspended for a whole manager, and who probes. All times are given."""

from math import inf

import pytest

from linq_typing._gate import FAILURES_IN_A_ROW, Change, Gate, Verdict


def _fail(gate: Gate, times: int, verdict: Verdict = Verdict.DOWN, now: float = 0.0) -> list[Change | None]:
    return [gate.ended(verdict, now, probe=gate.began()) for _ in range(times)]


def _closed(verdict: Verdict = Verdict.BAD_KEY) -> Gate:
    gate = Gate()
    _fail(gate, FAILURES_IN_A_ROW if verdict is Verdict.DOWN else 1, verdict)
    assert gate.suspended
    return gate


def test_a_new_gate_is_open_and_needs_no_timer() -> None:
    """Nothing is held back, and no start is a probe."""
    gate = Gate()
    assert (gate.may_start(-1e9), gate.suspended, gate.opens_at, gate.began()) == (True, False, inf, False)


def test_the_fifth_failure_in_a_row_closes_it() -> None:
    """Four are bad luck, five are an API that is down."""
    gate = Gate()
    assert _fail(gate, 4) == [None] * 4
    assert not gate.suspended
    assert _fail(gate, 1, now=10.0) == [Change.SUSPENDED]
    assert (gate.may_start(10.9), gate.may_start(11.0), gate.opens_at) == (False, True, 11.0)


def test_a_success_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    gate = Gate()
    _fail(gate, 4)
    assert gate.ended(Verdict.UP, 0.0, probe=False) is None
    assert _fail(gate, 4) == [None] * 4
    assert not gate.suspended


def test_a_bad_key_closes_it_at_once() -> None:
    """A 401 needs no second opinion."""
    assert _fail(Gate(), 1, Verdict.BAD_KEY) == [Change.SUSPENDED]


def test_one_probes_at_a_time() -> None:
    """While a probe is under way nobody else starts, however late it gets, and no timer is due."""
    gate = _closed()
    assert gate.may_start(1.0)
    assert gate.began()
    assert (gate.may_start(1e9), gate.opens_at) == (False, inf)


@pytest.mark.parametrize("verdict", [Verdict.DOWN, Verdict.BAD_KEY])
def test_failed_probes_double_the_pause_up_to_a_minute(verdict: Verdict) -> None:
    """1, 2, 4 ... 60 seconds, and no second SUSPENDED for the same trouble."""
    gate, now, pauses = _closed(verdict), 0.0, []
    for _ in range(8):
        pauses.append(gate.opens_at - now)
        now = gate.opens_at
        assert not gate.may_start(now - 0.001)
        assert gate.may_start(now)
        assert gate.ended(verdict, now, probe=gate.began()) is None
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_accepted_probe_opens_it_and_forgets_the_pause() -> None:
    """RECOVERED once; the next trouble starts with a second again."""
    gate = _closed()
    gate.ended(Verdict.DOWN, 1.0, probe=gate.began())
    assert gate.ended(Verdict.UP, 3.0, probe=gate.began()) is Change.RECOVERED
    assert (gate.suspended, gate.opens_at, gate.began()) == (False, inf, False)
    assert _fail(gate, 5, now=100.0)[-1] is Change.SUSPENDED
    assert gate.opens_at == 101.0


def test_late_failures_of_starts_under_way_do_not_prolong_the_pause() -> None:
    """A crowd that was under way when the gate closed says nothing new."""
    gate = _closed()
    assert [gate.ended(Verdict.DOWN, 0.5, probe=False) for _ in range(100)] == [None] * 100
    assert gate.opens_at == 1.0


def test_a_late_failure_leaves_the_probe_alone() -> None:
    """An answer to another start does not let a second probe out."""
    gate = _closed()
    gate.began()
    gate.ended(Verdict.DOWN, 1.5, probe=False)
    assert not gate.may_start(1e9)


def test_a_late_success_opens_it() -> None:
    """Any accepted start proves that the API works."""
    gate = _closed(Verdict.DOWN)
    assert gate.ended(Verdict.UP, 0.5, probe=False) is Change.RECOVERED
    assert gate.may_start(0.5)


def test_a_probe_that_fails_after_the_gate_was_opened_closes_nothing() -> None:
    """It counts as one failure of five."""
    gate = _closed(Verdict.DOWN)
    gate.began()
    gate.ended(Verdict.UP, 1.0, probe=False)
    assert gate.ended(Verdict.DOWN, 1.1, probe=True) is None
    assert not gate.suspended


def test_a_bad_key_found_by_a_probe_is_told() -> None:
    """The API was down, then is up but does not know the key: that is news, once."""
    gate = _closed(Verdict.DOWN)
    changes = []
    for now in (1.0, 3.0, 7.0):
        changes.append(gate.ended(Verdict.BAD_KEY, now, probe=gate.began()))
    assert changes == [Change.SUSPENDED, None, None]
