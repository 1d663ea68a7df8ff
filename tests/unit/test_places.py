"""Who makes the next request."""

import random
import sys

import pytest

from linq_typing._places import Places, Rank


def _drain(places: Places[str], *, starts: bool = True, avoid: str = "") -> list[str]:
    order = []
    while (who := places.next(starts=starts, avoid=avoid)) is not None:
        order.append(who)
    return order


def test_stops_go_before_first_starts_before_refreshes() -> None:
    """The rank decides first, whoever came first."""
    places: Places[str] = Places(1)
    places.wait("refresh", Rank.REFRESH)
    places.wait("start", Rank.FIRST_START)
    places.wait("stop", Rank.STOP)
    assert _drain(places) == ["stop", "start", "refresh"]


def test_within_a_rank_first_come_is_first_served() -> None:
    """No start overtakes an earlier one."""
    places: Places[str] = Places(1)
    for who in "cab":
        places.wait(who, Rank.FIRST_START)
    assert _drain(places) == ["c", "a", "b"]


def test_waiting_twice_keeps_the_turn() -> None:
    """Asking again neither duplicates nor moves back."""
    places: Places[str] = Places(1)
    for who in "aba":
        places.wait(who, Rank.STOP)
    assert places.waiting == 2
    assert _drain(places) == ["a", "b"]


def test_a_changed_rank_moves_to_the_new_queue() -> None:
    """A start that has become a stop waits once, among the stops."""
    places: Places[str] = Places(1)
    places.wait("a", Rank.FIRST_START)
    places.wait("b", Rank.STOP)
    places.wait("a", Rank.STOP)
    assert (places.waiting, places.starts_waiting()) == (2, False)
    assert _drain(places) == ["b", "a"]


def test_without_starts_only_stops_go() -> None:
    """While starts are suspended, the others keep their turn."""
    places: Places[str] = Places(1)
    places.wait("start", Rank.FIRST_START)
    places.wait("refresh", Rank.REFRESH)
    places.wait("stop", Rank.STOP)
    assert _drain(places, starts=False) == ["stop"]
    assert _drain(places) == ["start", "refresh"]


def test_a_start_to_avoid_goes_only_if_no_other_one_waits() -> None:
    """Whatever its rank; stops are not avoided."""
    places: Places[str] = Places(1)
    for who, rank in (("a", Rank.FIRST_START), ("b", Rank.FIRST_START), ("c", Rank.REFRESH), ("d", Rank.STOP)):
        places.wait(who, rank)
    assert _drain(places, avoid="abd") == ["d", "c", "a", "b"]


def test_starts_waiting_besides_some() -> None:
    """Whether there is one that need not be avoided."""
    places: Places[str] = Places(1)
    places.wait("a", Rank.FIRST_START)
    places.wait("b", Rank.REFRESH)
    places.wait("c", Rank.STOP)
    assert [places.starts_waiting(besides=some) for some in ("", "a", "b", "ab")] == [True, True, True, False]


@pytest.mark.parametrize("goes_first", [Rank.FIRST_START, Rank.STOP])
def test_every_eighth_place_goes_to_a_first_start(goes_first: Rank) -> None:
    """Even while stops wait; not to a refresh, nor while starts are suspended."""
    places: Places[str] = Places(100)
    for number in range(24):
        places.wait(f"stop {number}", Rank.STOP)
    places.wait("refresh", Rank.REFRESH)
    starts = goes_first is Rank.FIRST_START
    for number in range(2):
        places.wait(f"start {number}", Rank.FIRST_START)
    order = []
    for _ in range(17):
        order.append((places.next(starts=starts) or "").split()[0])
        places.take()
    assert order == (["stop"] * 7 + ["start" if starts else "stop"]) * 2 + ["stop"]


def test_a_queue_that_is_empty_again_gives_back_its_memory() -> None:
    """A crowd waits once; what it took is not kept for ever."""
    places: Places[str] = Places(1)
    for number in range(10_000):
        places.wait(str(number), Rank.STOP)
    _drain(places)
    assert sum(map(sys.getsizeof, places._queues)) < 5_000


def test_nobody_goes_while_all_places_are_taken() -> None:
    """The capacity holds, for stops too, and a released place is free again."""
    places: Places[str] = Places(2)
    places.wait("a", Rank.STOP)
    places.take()
    places.take()
    assert places.taken == 2
    assert places.next(starts=True) is None
    places.release()
    assert places.taken == 1
    assert places.next(starts=True) == "a"
    assert places.waiting == 0


def test_who_withdraws_is_not_called() -> None:
    """Withdrawing takes one out of every queue, and is no error for a stranger."""
    places: Places[str] = Places(1)
    places.wait("a", Rank.REFRESH)
    places.withdraw("a")
    places.withdraw("stranger")
    assert (places.waiting, places.starts_waiting(), places.next(starts=True)) == (0, False, None)


@pytest.mark.parametrize("rank", [Rank.FIRST_START, Rank.REFRESH])
def test_starts_waiting_sees_both_kinds_of_start(rank: Rank) -> None:
    """A timer for the end of a suspension is needed for either."""
    places: Places[str] = Places(1)
    assert not places.starts_waiting()
    places.wait("a", rank)
    assert places.starts_waiting()


def test_random_use_agrees_with_a_sorted_list() -> None:
    """Thousands of random calls give the order that a naive list gives."""
    for seed in range(50):
        random_ = random.Random(seed)
        places: Places[str] = Places(1)
        model: list[tuple[Rank, str]] = []
        for _ in range(100):
            who, rank = random_.choice("abcdef"), random_.choice(list(Rank))
            if random_.random() < 0.6:
                places.wait(who, rank)
                if (rank, who) not in model:
                    model = [entry for entry in model if entry[1] != who] + [(rank, who)]
            elif random_.random() < 0.3:
                places.withdraw(who)
                model = [entry for entry in model if entry[1] != who]
            else:
                expected = min(model, key=lambda entry: entry[0], default=None)
                assert places.next(starts=True) == (expected and expected[1])
                if expected:
                    model.remove(expected)
            assert places.waiting == len(model)
