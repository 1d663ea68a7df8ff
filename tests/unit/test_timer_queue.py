"""Which chat to look at again, and when."""

import random
from math import inf

import pytest

from linq_typing._core.timer_queue import TimerQueue


class Thing:
    def __init__(self, name: str = "") -> None:
        self.name = name
        self.due = inf


def _pop_all(queue: TimerQueue[Thing], now: float = 1e9) -> list[Thing]:
    popped = []
    while (thing := queue.pop(now)) is not None:
        popped.append(thing)
    return popped


def test_things_come_up_in_the_order_of_their_times() -> None:
    """Earliest first, and each with its due taken off."""
    queue: TimerQueue[Thing] = TimerQueue()
    things = [Thing() for _ in range(5)]
    for thing, when in zip(things, (3.0, 1.0, 5.0, 2.0, 4.0), strict=True):
        queue.schedule(thing, when)
    assert (queue.next_at, len(queue)) == (1.0, 5)
    assert _pop_all(queue) == [things[i] for i in (1, 3, 0, 4, 2)]
    assert {thing.due for thing in things} == {inf}
    assert (queue.next_at, len(queue)) == (inf, 0)


def test_equal_times_keep_their_order_and_never_compare_things() -> None:
    """A tie is no TypeError."""
    queue: TimerQueue[Thing] = TimerQueue()
    things = [Thing() for _ in range(10)]
    for thing in things:
        queue.schedule(thing, 1.0)
    assert _pop_all(queue) == things


def test_nothing_comes_up_before_its_time() -> None:
    """The moment itself counts."""
    queue: TimerQueue[Thing] = TimerQueue()
    thing = Thing()
    queue.schedule(thing, 2.0)
    assert queue.pop(1.999) is None
    assert queue.pop(2.0) is thing


def test_putting_off_is_lazy() -> None:
    """A later time is not kept: the thing comes up at the earlier one and is asked again."""
    queue: TimerQueue[Thing] = TimerQueue()
    thing = Thing()
    queue.schedule(thing, 1.0)
    queue.schedule(thing, 5.0)
    assert (thing.due, len(queue)) == (1.0, 1)


def test_an_earlier_time_replaces_the_later_one() -> None:
    """It comes up once."""
    queue: TimerQueue[Thing] = TimerQueue()
    thing = Thing()
    queue.schedule(thing, 5.0)
    queue.schedule(thing, 1.0)
    assert len(queue) == 1
    assert _pop_all(queue) == [thing]


def test_what_was_cancelled_does_not_come_up() -> None:
    """Cancelling twice, or what is not scheduled, is no error."""
    queue: TimerQueue[Thing] = TimerQueue()
    thing = Thing()
    queue.cancel(thing)
    queue.schedule(thing, 1.0)
    queue.cancel(thing)
    queue.cancel(thing)
    assert (thing.due, len(queue), _pop_all(queue)) == (inf, 0, [])


def test_what_is_never_due_is_not_scheduled() -> None:
    """A thing without a next time costs no memory."""
    queue: TimerQueue[Thing] = TimerQueue()
    queue.schedule(Thing(), inf)
    assert (len(queue), queue.next_at) == (0, inf)


def test_stale_entries_do_not_pile_up() -> None:
    """A thing that is moved ten thousand times leaves no ten thousand entries behind."""
    queue: TimerQueue[Thing] = TimerQueue()
    thing = Thing()
    for step in range(10_000):
        queue.schedule(thing, 1e6 - step)
    assert len(queue) == 1
    assert queue._entries < 200
    assert queue._entries == len(list(queue._items()))
    assert _pop_all(queue) == [thing]


def test_stale_entries_do_not_outlive_their_items() -> None:
    """What was moved to the current bucket leaves no entry behind in its old one."""
    queue: TimerQueue[Thing] = TimerQueue()
    things = [Thing() for _ in range(5_000)]
    for thing in things:
        queue.schedule(thing, 1e6)
        queue.schedule(thing, 1.0)
    assert set(_pop_all(queue, 2.0)) == set(things)
    assert queue._entries < 200


def test_the_stale_entries_are_left_alone_while_they_are_the_minority() -> None:
    """Throwing them out takes a walk over all."""
    queue: TimerQueue[Thing] = TimerQueue()
    things = [Thing() for _ in range(1_000)]
    for thing in things:
        queue.schedule(thing, 1e6)
    for thing in things[:900]:
        queue.schedule(thing, 1e5)
    assert queue._entries == 1_900


def test_only_the_current_bucket_is_sorted() -> None:
    """Later items, most of which never come up, cost an entry in a list each."""
    queue: TimerQueue[Thing] = TimerQueue()
    queue.schedule(Thing(), 1.5)
    assert not queue._heap
    queue.pop(1.5)
    queue.schedule(Thing(), 2.0)
    assert not queue._heap
    queue.schedule(Thing(), 1.9)
    queue.schedule(Thing(), 0.5)
    assert len(queue._heap) == 2


@pytest.mark.parametrize("seed", range(20))
def test_random_use_agrees_with_a_dict(seed: int) -> None:
    """Scheduled, moved and cancelled at random, each comes up once, in order, at the time a dict has for it."""
    chance = random.Random(seed)
    queue: TimerQueue[Thing] = TimerQueue()
    things, model = [Thing(str(i)) for i in range(40)], dict[Thing, float]()
    now = 0.0
    for _ in range(3000):
        thing = chance.choice(things)
        kind = chance.random()
        if kind < 0.6:
            when = now + chance.choice((0.1, 1, 100)) * chance.randrange(50)
            queue.schedule(thing, when)
            model[thing] = min(when, model.get(thing, inf))
        elif kind < 0.9:
            queue.cancel(thing)
            model.pop(thing, None)
        else:
            now += chance.randrange(3)
            due = {thing for thing, when in model.items() if when <= now}
            popped = _pop_all(queue, now)
            times = [model.pop(thing) for thing in popped]
            assert set(popped) == due
            assert times == sorted(times)
        assert {t: t.due for t in things if t.due < inf} == model
        assert len(queue) == len(model)
        assert queue._entries == len(list(queue._items()))
        assert queue.next_at <= min(model.values(), default=inf), "something would come up late"
        if kind >= 0.9:
            assert queue.next_at > now, "it would be asked again and again"
