"""Which request goes out next."""

import random
import sys

import pytest

from linq_typing._core.request_queue import FIRST_START_TURN, Priority, RequestQueue


def _drain(queue: RequestQueue[str], *, starts: bool = True, avoid: str = "") -> list[str]:
    order = []
    while (who := queue.acquire(0.0, starts=starts, avoid=avoid)) is not None:
        order.append(who)
        queue.release()
    return order


def test_stops_go_before_first_starts_before_refreshes() -> None:
    """The priority decides first, whichever came first."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("refresh", Priority.REFRESH, 0.0)
    queue.enqueue("start", Priority.FIRST_START, 0.0)
    queue.enqueue("stop", Priority.STOP, 0.0)
    assert _drain(queue) == ["stop", "start", "refresh"]


def test_within_a_priority_it_is_first_in_first_out() -> None:
    """No start overtakes an earlier one."""
    queue: RequestQueue[str] = RequestQueue(1)
    for who in "cab":
        queue.enqueue(who, Priority.FIRST_START, 0.0)
    assert _drain(queue) == ["c", "a", "b"]


def test_enqueueing_twice_keeps_the_turn() -> None:
    """Asking again neither duplicates nor moves back."""
    queue: RequestQueue[str] = RequestQueue(1)
    for who in "aba":
        queue.enqueue(who, Priority.STOP, 0.0)
    assert queue.waiting == 2
    assert _drain(queue) == ["a", "b"]


def test_a_changed_priority_moves_to_the_new_queue() -> None:
    """A start that has become a stop waits once, among the stops."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("a", Priority.FIRST_START, 0.0)
    queue.enqueue("b", Priority.STOP, 0.0)
    queue.enqueue("a", Priority.STOP, 0.0)
    assert (queue.waiting, queue.starts_waiting()) == (2, False)
    assert _drain(queue) == ["b", "a"]


def test_without_starts_only_stops_go() -> None:
    """While starts are suspended, the others keep their turn."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("start", Priority.FIRST_START, 0.0)
    queue.enqueue("refresh", Priority.REFRESH, 0.0)
    queue.enqueue("stop", Priority.STOP, 0.0)
    assert _drain(queue, starts=False) == ["stop"]
    assert _drain(queue) == ["start", "refresh"]


def test_a_start_to_avoid_goes_only_if_no_other_one_waits() -> None:
    """Whatever its priority; stops are not avoided."""
    queue: RequestQueue[str] = RequestQueue(1)
    for who, priority in (
        ("a", Priority.FIRST_START),
        ("b", Priority.FIRST_START),
        ("c", Priority.REFRESH),
        ("d", Priority.STOP),
    ):
        queue.enqueue(who, priority, 0.0)
    assert _drain(queue, avoid="abd") == ["d", "c", "a", "b"]


def test_starts_waiting_besides_some() -> None:
    """Whether there is one that need not be avoided."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("a", Priority.FIRST_START, 0.0)
    queue.enqueue("b", Priority.REFRESH, 0.0)
    queue.enqueue("c", Priority.STOP, 0.0)
    assert [queue.starts_waiting(besides=some) for some in ("", "a", "b", "ab")] == [True, True, True, False]


@pytest.mark.parametrize("goes_first", [Priority.FIRST_START, Priority.STOP])
def test_every_eighth_slot_goes_to_a_first_start(goes_first: Priority) -> None:
    """Even while stops wait; not to a refresh, nor while starts are suspended."""
    queue: RequestQueue[str] = RequestQueue(100)
    for number in range(24):
        queue.enqueue(f"stop {number}", Priority.STOP, 0.0)
    queue.enqueue("refresh", Priority.REFRESH, 0.0)
    starts = goes_first is Priority.FIRST_START
    for number in range(2):
        queue.enqueue(f"start {number}", Priority.FIRST_START, 0.0)
    order = []
    for _ in range(17):
        order.append((queue.acquire(0.0, starts=starts) or "").split()[0])
    assert order == (["stop"] * 7 + ["start" if starts else "stop"]) * 2 + ["stop"]


def test_a_queue_that_is_empty_again_gives_back_its_memory() -> None:
    """Memory of ten thousand entries is not kept for ever."""
    queue: RequestQueue[str] = RequestQueue(1)
    for number in range(10_000):
        queue.enqueue(str(number), Priority.STOP, 0.0)
    _drain(queue)
    assert sum(map(sys.getsizeof, queue._queues)) < 5_000


def test_no_request_goes_while_all_slots_are_in_use() -> None:
    """The capacity holds, for stops too, and a released slot is free again."""
    queue: RequestQueue[str] = RequestQueue(2)
    for who in "abc":
        queue.enqueue(who, Priority.STOP, 0.0)
    assert [queue.acquire(0.0, starts=True) for _ in range(3)] == ["a", "b", None]
    assert (queue.in_use, queue.waiting) == (2, 1)
    queue.release()
    assert queue.in_use == 1
    assert queue.acquire(0.0, starts=True) == "c"
    assert (queue.in_use, queue.waiting) == (2, 0)


def test_the_refresh_that_has_waited_longest() -> None:
    """Not a stop or a first start, which go first anyway."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("stop", Priority.STOP, 0.0)
    queue.enqueue("start", Priority.FIRST_START, 1.0)
    assert queue.oldest_refresh is None
    for moment, who in enumerate("ab", start=2):
        queue.enqueue(who, Priority.REFRESH, float(moment))
    assert queue.oldest_refresh == ("a", 2.0)
    queue.discard("a")
    assert queue.oldest_refresh == ("b", 3.0)


def test_a_refresh_that_was_held_back_does_not_count_as_waiting_for_a_slot() -> None:
    """While starts are suspended, it waits for the end of that; then it is late already."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("a", Priority.REFRESH, 1.0)
    assert queue.acquire(2.0, starts=False) is None
    queue.enqueue("b", Priority.REFRESH, 3.0)
    assert queue.oldest_refresh is None
    assert queue.acquire(4.0, starts=True) == "a"
    assert queue.oldest_refresh == ("b", 3.0)


def test_how_many_slots_a_rate_takes() -> None:
    """The mean of the latest requests; a slot that was given back unused does not count."""
    queue: RequestQueue[str] = RequestQueue(1)
    assert queue.slots_for(100.0) == 0.0

    def use_for(seconds: float | None, times: int) -> None:
        for _ in range(times):
            queue.enqueue("a", Priority.STOP, 0.0)
            queue.acquire(0.0, starts=True)
            queue.release(seconds)

    use_for(0.5, 1)
    use_for(None, 5)
    assert queue.slots_for(100.0) == 50.0
    use_for(0.1, 500)
    assert queue.slots_for(100.0) == pytest.approx(10.0, rel=0.01)


def test_what_is_discarded_does_not_go() -> None:
    """Whatever its priority; discarding an unknown key is no error."""
    queue: RequestQueue[str] = RequestQueue(1)
    queue.enqueue("a", Priority.REFRESH, 0.0)
    queue.discard("a")
    queue.discard("stranger")
    assert (queue.waiting, queue.starts_waiting(), queue.acquire(0.0, starts=True)) == (0, False, None)


@pytest.mark.parametrize("priority", [Priority.FIRST_START, Priority.REFRESH])
def test_starts_waiting_sees_both_kinds_of_start(priority: Priority) -> None:
    """A timer for the end of a suspension is needed for either."""
    queue: RequestQueue[str] = RequestQueue(1)
    assert not queue.starts_waiting()
    queue.enqueue("a", priority, 0.0)
    assert queue.starts_waiting()


def test_random_use_agrees_with_a_sorted_list() -> None:
    """Thousands of random calls give the order that a naive list gives."""
    for seed in range(50):
        random_ = random.Random(seed)
        queue: RequestQueue[str] = RequestQueue(1)
        model: list[tuple[Priority, str]] = []
        turns = 0
        for _ in range(100):
            who, priority = random_.choice("abcdef"), random_.choice(list(Priority))
            if random_.random() < 0.6:
                queue.enqueue(who, priority, 0.0)
                if (priority, who) not in model:
                    model = [entry for entry in model if entry[1] != who] + [(priority, who)]
            elif random_.random() < 0.3:
                queue.discard(who)
                model = [entry for entry in model if entry[1] != who]
            else:
                first = Priority.FIRST_START if turns % FIRST_START_TURN == FIRST_START_TURN - 1 else Priority.STOP
                expected = min(model, key=lambda entry: (entry[0] != first, entry[0]), default=None)
                assert queue.acquire(0.0, starts=True) == (expected and expected[1])
                if expected:
                    model.remove(expected)
                    queue.release()
                    turns += 1
            assert queue.waiting == len(model)
