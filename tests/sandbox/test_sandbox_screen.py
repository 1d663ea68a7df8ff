"""The recipient's screen: every rule, on a clock that the test moves."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from linq_typing.sandbox._screen import Screen


def screen(**figures: float) -> Screen:
    made = Screen(**{"shown_for": 85.0, "active_for": 300.0, **figures})
    made.received(0.0)
    return made


def seen(made: Screen, now: float = 10_000.0) -> list[tuple[float, float | None, str | None]]:
    return [(s.since, s.until, s.ended_by) for s in made.showings(now)]


def test_start_shows_for_85_seconds_and_not_longer() -> None:
    s = screen()
    assert s.start(1) == ("shown", "")
    assert s.visible(85.999)
    assert not s.visible(86)
    assert seen(s) == [(1, 86, "expired")]


def test_start_while_showing_extends_from_then() -> None:
    s = screen()
    s.start(0)
    assert s.start(60) == ("extended", "")
    assert s.visible(144)
    assert seen(s) == [(0, 145, "expired")]


def test_start_after_the_expiry_is_a_showing_of_its_own() -> None:
    s = screen()
    s.start(0)
    assert s.start(90) == ("shown", "")
    assert seen(s, 100) == [(0, 85, "expired"), (90, None, None)]


def test_stop_hides() -> None:
    s = screen()
    s.start(0)
    assert s.stop(5) == ("hidden", "")
    assert not s.visible(5)
    assert seen(s) == [(0, 5, "stop")]


def test_stop_without_a_start_changes_nothing() -> None:
    s = screen()
    assert s.stop(5) == ("nothing", "it was not showing")
    assert seen(s) == []


def test_message_clears_when_it_lands_and_not_at_its_acceptance() -> None:
    s = screen()
    s.start(0)
    s.accepted(10, lands_at=11)
    assert s.visible(10.9)
    assert not s.visible(11)
    assert seen(s) == [(0, 11, "message")]


def test_start_between_acceptance_and_clear_is_wiped_by_the_clear() -> None:
    s = screen()
    s.accepted(10, lands_at=12.6)
    assert s.start(11) == ("shown", "")
    assert not s.visible(12.6)
    assert seen(s) == [(11, 12.6, "message")]


def test_start_after_the_clear_shows_again() -> None:
    s = screen()
    s.start(0)
    s.accepted(10, lands_at=11)
    s.start(11)
    assert seen(s, 50) == [(0, 11, "message"), (11, None, None)]


def test_each_message_clears_at_its_own_time_whatever_their_order() -> None:
    s = screen()
    s.start(0)
    s.accepted(1, lands_at=9)
    s.accepted(2, lands_at=3)
    s.start(4)
    assert seen(s) == [(0, 3, "message"), (4, 9, "message")]


def test_message_that_lands_after_the_expiry_leaves_the_expiry_its_own() -> None:
    s = screen()
    s.start(0)
    s.accepted(84, lands_at=86)
    assert seen(s) == [(0, 85, "expired")]


def test_chat_without_a_message_in_5_minutes_shows_nothing() -> None:
    s = screen()
    assert s.start(300)[0] == "shown"
    s.stop(301)
    change, note = s.start(301.5)
    assert change == "nothing"
    assert "no message" in note


def test_chat_that_never_had_a_message_shows_nothing() -> None:
    s = Screen(shown_for=85, active_for=300)
    assert s.start(0)[0] == "nothing"


def test_refresh_in_an_idle_chat_does_not_extend() -> None:
    s = screen()
    s.start(290)
    assert s.start(350)[0] == "nothing"
    assert seen(s) == [(290, 375, "expired")]


def test_message_of_either_side_makes_the_chat_active_again() -> None:
    mine, theirs = screen(), screen()
    mine.accepted(1000, lands_at=1000)
    theirs.received(1000)
    assert mine.start(1001)[0] == theirs.start(1001)[0] == "shown"


def test_incoming_message_leaves_the_indicator_alone() -> None:
    s = screen()
    s.start(0)
    s.received(5)
    assert s.visible(6)


def test_reopening_drops_the_indicator_and_a_start_alone_does_not_bring_it_back() -> None:
    s = screen()
    s.start(0)
    assert s.reopen(5)
    change, note = s.start(6)
    assert (change, s.visible(7)) == ("nothing", False)
    assert "stop" in note
    assert seen(s) == [(0, 5, "reopened")]


def test_stop_then_start_brings_it_back_after_reopening() -> None:
    s = screen()
    s.start(0)
    s.reopen(5)
    s.stop(6)
    assert s.start(7)[0] == "shown"


def test_message_that_landed_lets_a_start_show_after_reopening() -> None:
    s = screen()
    s.start(0)
    s.reopen(5)
    s.accepted(6, lands_at=7)
    assert s.start(6.5)[0] == "nothing"
    assert s.start(7)[0] == "shown"


def test_reopening_while_nothing_shows_is_nothing() -> None:
    s = screen()
    assert not s.reopen(1)
    assert s.start(2)[0] == "shown"


steps = st.lists(
    st.tuples(
        st.sampled_from(["start", "stop", "send", "reopen", "write"]),
        st.floats(0, 120, allow_nan=False),
        st.floats(0, 5, allow_nan=False),
    ),
    max_size=30,
)


@given(steps)
def test_showings_never_overlap_and_are_never_longer_than_the_starts_allow(
    script: list[tuple[str, float, float]],
) -> None:
    """Whatever happens: showings follow one another, and end at most 85 s after a start."""
    s, now, starts = screen(active_for=math.inf), 0.0, []
    for what, gap, delay in script:
        now += gap
        if what == "send":
            s.accepted(now, now + delay)
        elif what == "start":
            s.start(now)
            starts.append(now)
        else:
            {"stop": s.stop, "reopen": s.reopen, "write": s.received}[what](now)
    showings = s.showings(now + 1000)
    ends = [0.0]
    for showing in showings:
        assert showing.until is not None
        assert ends[-1] <= showing.since <= showing.until <= showing.expires_at
        assert showing.since in starts
        assert any(showing.until - 85 <= start + 1e-6 for start in starts if start <= showing.until)
        ends.append(showing.until)
