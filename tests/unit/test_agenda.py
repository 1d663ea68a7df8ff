"""Which chat is to be looked at again, and when."""

import random
from math import inf

import pytest

from linq_typing._agenda import Agenda


class Thing:
    def __init__(self, name: str = "") -> None:
        self.name = name
        self.due = inf


def _pop_all(agenda: Agenda[Thing], now: float = 1e9) -> list[Thing]:
    popped = []
    while (thing := agenda.pop(now)) is not None:
        popped.append(thing)
    return popped


def test_things_come_up_in_the_order_of_their_times() -> None:
    """Earliest first, and each with its due taken off."""
    agenda: Agenda[Thing] = Agenda()
    things = [Thing() for _ in range(5)]
    for thing, when in zip(things, (3.0, 1.0, 5.0, 2.0, 4.0), strict=True):
        agenda.call_up(thing, when)
    assert (agenda.next_at, len(agenda)) == (1.0, 5)
    assert _pop_all(agenda) == [things[i] for i in (1, 3, 0, 4, 2)]
    assert {thing.due for thing in things} == {inf}
    assert (agenda.next_at, len(agenda)) == (inf, 0)


def test_equal_times_keep_their_order_and_never_compare_things() -> None:
    """A tie is no TypeError."""
    agenda: Agenda[Thing] = Agenda()
    things = [Thing() for _ in range(10)]
    for thing in things:
        agenda.call_up(thing, 1.0)
    assert _pop_all(agenda) == things


def test_nothing_comes_up_before_its_time() -> None:
    """The moment itself counts."""
    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    agenda.call_up(thing, 2.0)
    assert agenda.pop(1.999) is None
    assert agenda.pop(2.0) is thing


def test_putting_off_is_lazy() -> None:
    """A later time is not kept: the thing comes up at the earlier one and is asked again."""
    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    agenda.call_up(thing, 1.0)
    agenda.call_up(thing, 5.0)
    assert (thing.due, len(agenda)) == (1.0, 1)


def test_an_earlier_time_replaces_the_later_one() -> None:
    """It comes up once."""
    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    agenda.call_up(thing, 5.0)
    agenda.call_up(thing, 1.0)
    assert len(agenda) == 1
    assert _pop_all(agenda) == [thing]


def test_what_was_struck_does_not_come_up() -> None:
    """Striking twice, or a stranger, is nothing."""
    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    agenda.strike(thing)
    agenda.call_up(thing, 1.0)
    agenda.strike(thing)
    agenda.strike(thing)
    assert (thing.due, len(agenda), _pop_all(agenda)) == (inf, 0, [])


def test_never_is_not_put_on_the_agenda() -> None:
    """A thing without a next time costs no memory."""
    agenda: Agenda[Thing] = Agenda()
    agenda.call_up(Thing(), inf)
    assert (len(agenda), agenda.next_at) == (0, inf)


def test_stale_entries_do_not_pile_up() -> None:
    """A thing that is moved ten thousand times leaves no ten thousand entries behind."""
    agenda: Agenda[Thing] = Agenda()
    thing = Thing()
    for step in range(10_000):
        agenda.call_up(thing, 1e6 - step)
    assert len(agenda) == 1
    assert agenda._entries < 200
    assert agenda._entries == len(list(agenda._items()))
    assert _pop_all(agenda) == [thing]


def test_stale_entries_do_not_outlive_a_crowd() -> None:
    """What was moved to today leaves nothing behind for the day that it was on, however it ends."""
    agenda: Agenda[Thing] = Agenda()
    things = [Thing() for _ in range(5_000)]
    for thing in things:
        agenda.call_up(thing, 1e6)
        agenda.call_up(thing, 1.0)
    assert set(_pop_all(agenda, 2.0)) == set(things)
    assert agenda._entries < 200


def test_the_stale_entries_are_left_alone_while_they_are_the_minority() -> None:
    """Throwing them out takes a walk over all."""
    agenda: Agenda[Thing] = Agenda()
    things = [Thing() for _ in range(1_000)]
    for thing in things:
        agenda.call_up(thing, 1e6)
    for thing in things[:900]:
        agenda.call_up(thing, 1e5)
    assert agenda._entries == 1_900


def test_only_today_is_sorted() -> None:
    """What is for later, most of which never comes up, costs no more than an entry in a list."""
    agenda: Agenda[Thing] = Agenda()
    agenda.call_up(Thing(), 1.5)
    assert not agenda._heap
    agenda.pop(1.5)
    agenda.call_up(Thing(), 2.0)
    assert not agenda._heap
    agenda.call_up(Thing(), 1.9)
    agenda.call_up(Thing(), 0.5)
    assert len(agenda._heap) == 2


@pytest.mark.parametrize("seed", range(20))
def test_random_use_agrees_with_a_dict(seed: int) -> None:
    """Moved, struck and called up at random, each comes up once, in order, at the time a dict has for it."""
    chance = random.Random(seed)
    agenda: Agenda[Thing] = Agenda()
    things, model = [Thing(str(i)) for i in range(40)], dict[Thing, float]()
    now = 0.0
    for _ in range(3000):
        thing = chance.choice(things)
        kind = chance.random()
        if kind < 0.6:
            when = now + chance.choice((0.1, 1, 100)) * chance.randrange(50)
            agenda.call_up(thing, when)
            model[thing] = min(when, model.get(thing, inf))
        elif kind < 0.9:
            agenda.strike(thing)
            model.pop(thing, None)
        else:
            now += chance.randrange(3)
            due = {thing for thing, when in model.items() if when <= now}
            popped = _pop_all(agenda, now)
            times = [model.pop(thing) for thing in popped]
            assert set(popped) == due
            assert times == sorted(times)
        assert {t: t.due for t in things if t.due < inf} == model
        assert len(agenda) == len(model)
        assert agenda._entries == len(list(agenda._items()))
        assert agenda.next_at <= min(model.values(), default=inf), "something would come up late"
        if kind >= 0.9:
            assert agenda.next_at > now, "it would be asked again and again"
