"""The kinds of requests, and how many there are."""

from __future__ import annotations

from collections import Counter

import pytest

from linq_typing.cli.demo._counts import count, in_words
from linq_typing.cli.demo._counts import kinds as kinds_of
from linq_typing.sandbox import Request

from .timelines import request, timeline


def kinds(*requests: Request) -> list[str]:
    return [kind for kind, _ in kinds_of(timeline(*requests))]


def test_a_start_while_the_indicator_is_up_is_a_refresh() -> None:
    assert kinds(request("start", 0), request("start", 60), request("stop", 70)) == ["start", "refresh", "stop"]


@pytest.mark.parametrize("ending", [request("stop", 10), request("send", 10, 202)])
def test_a_start_after_a_stop_or_a_message_is_a_first_one(ending: Request) -> None:
    assert kinds(request("start", 0), ending, request("start", 20))[-1] == "start"


def test_a_refused_stop_takes_nothing_down() -> None:
    assert kinds(request("start", 0), request("stop", 10, 500), request("start", 20))[-1] == "refresh"


def test_a_start_after_a_failed_one_is_a_retry() -> None:
    assert kinds(request("start", 0, 500), request("start", 0.6, 500), request("start", 1.9)) == [
        "start",
        "retry",
        "retry",
    ]


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
    assert count(timeline(*asked)) == {"start": 2, "refresh": 1, "retry": 1, "stop": 1, "message": 1, "other": 1}


def test_counts_in_words() -> None:
    assert in_words(Counter()) == "no requests"
    assert in_words(Counter(start=1)) == "1 start"
    assert in_words(Counter(stop=1, start=1, refresh=2)) == "1 start, 2 refreshes, 1 stop"
