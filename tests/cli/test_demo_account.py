"""What a timeline is read as."""

from __future__ import annotations

import pytest
from demo_timelines import request, timeline

from linq_typing.demo._account import Tally, entries, is_ghost, longest_gap, tally, within
from linq_typing.sandbox import Request, Showing


def kinds(*requests: Request) -> list[str]:
    return [entry.kind for entry in entries(timeline(*requests))]


def test_a_start_while_the_indicator_is_up_is_a_refresh() -> None:
    assert kinds(request("start", 0), request("start", 60), request("stop", 70)) == ["start", "refresh", "stop"]


@pytest.mark.parametrize("ending", [request("stop", 10), request("send", 10, 202)])
def test_a_start_after_a_stop_or_a_message_is_a_first_one(ending: Request) -> None:
    assert kinds(request("start", 0), ending, request("start", 20))[-1] == "start"


def test_a_refused_stop_takes_nothing_down() -> None:
    assert kinds(request("start", 0), request("stop", 10, 500), request("start", 20))[-1] == "refresh"


def test_a_start_after_a_failed_one_is_a_retry_and_knows_how_long_it_waited() -> None:
    found = entries(timeline(request("start", 0, 500), request("start", 0.6, 500), request("start", 1.9)))
    assert [entry.kind for entry in found] == ["start", "retry", "retry"]
    assert [entry.waited for entry in found] == pytest.approx([0, 0.5, 1.2])


def test_a_start_under_way_has_not_failed() -> None:
    assert kinds(request("start", 0, None), request("start", 1)) == ["start", "start"]


def test_every_request_is_counted_once() -> None:
    asked = (
        request("start", 0, 500),
        request("start", 1),
        request("start", 61),
        request("send", 80, 202),
        request("start", 90),
        request("stop", 95),
        request("get", 96, 200),
    )
    done = tally(timeline(*asked))
    assert done == Tally(requests=7, starts=2, refreshes=1, retries=1, stops=1, messages=1)
    assert done + done == Tally(14, 4, 2, 2, 2, 2)


def test_what_still_shows_is_a_ghost() -> None:
    assert is_ghost(timeline(now=20, showings=(Showing(0, None, None, 85),)), work_ended_at=10)


def test_what_only_ran_out_by_itself_was_a_ghost() -> None:
    assert is_ghost(timeline(now=100, showings=(Showing(0, 85, "expired", 85),)), work_ended_at=10)


def test_what_ran_out_while_the_bot_worked_was_a_gap_and_no_ghost() -> None:
    assert not is_ghost(timeline(now=100, showings=(Showing(0, 85, "expired", 85),)), work_ended_at=99)


@pytest.mark.parametrize("ended_by", ["stop", "message"])
def test_what_was_taken_down_is_no_ghost(ended_by: str) -> None:
    assert not is_ghost(timeline(now=100, showings=(Showing(0, 12, ended_by, 85),)), work_ended_at=10)  # type: ignore[arg-type]


def test_the_longest_gap_may_be_the_one_that_lasts() -> None:
    assert longest_gap((1, 2, 9, 10), now=11) == (2, 9)
    assert longest_gap((1, 2), now=11) == (2, 11)
    assert longest_gap((), now=11) == (11, 11)


def test_requests_within_a_stretch_of_time() -> None:
    found = entries(timeline(request("start", 0), request("start", 60), request("start", 120)))
    assert within(found, "refresh", 10, 100) == 1
