"""Every state against every input, as in ``table.txt``.

A cell says what the indicator answers after the input: ``start``, ``stop``, ``+0.5`` (wait half a second) or
``wait`` (for the next input). A dot marks what cannot happen. The world judges every step as well, so that
an input that changes what it must not is found even where the answer stays the same.

``python -m pytest tests/indicator/test_table.py --co`` lists the states. To see what a change to the machine
does to the table, print it: ``python -m tests.indicator.test_table``.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from linq_typing._core import indicator as _indicator
from linq_typing._settings import SessionOptions

from .model import Message, World

TABLE = Path(__file__).with_name("table.txt")
FREQUENT = SessionOptions(refresh_interval=20.0)


# -- States. A world in its state; `first` is the session that all the others are about.


def idle(world: World) -> None:
    """Nothing yet."""


def start_queued(world: World) -> None:
    world.has_slot = False
    world.join()


def start_in_flight(world: World) -> None:
    world.join()


def start_delayed(world: World) -> None:
    world.join(SessionOptions(start_delay=2.0))


def confirmed(world: World) -> None:
    world.join()
    world.answer("ACCEPTED")
    world.advance(1.0)


def confirmed_for_two(world: World) -> None:
    confirmed(world)
    world.join(FREQUENT)


def refresh_due(world: World) -> None:
    confirmed(world)
    world.has_slot = False
    world.advance(59.0)


def refresh_in_flight(world: World) -> None:
    confirmed(world)
    world.advance(59.0)


def refresh_backing_off(world: World) -> None:
    refresh_in_flight(world)
    world.answer("NOT_APPLIED", retry_in=2.0)


def refresh_given_up(world: World) -> None:
    refresh_in_flight(world)
    world.answer("NOT_APPLIED")


def start_backing_off(world: World) -> None:
    world.join()
    world.answer("UNKNOWN", retry_in=2.0, where=1.0)


def start_lost(world: World) -> None:
    world.join()
    world.answer("NO_ANSWER", retry_in=2.0, where=1.0)


def start_throttled(world: World) -> None:
    world.join()
    world.answer("NOT_APPLIED", retry_in=2.0, retry_after=30.0)


def start_unwanted(world: World) -> None:
    world.join()
    world.leave(world.sessions[0], error=True)


def lingering(world: World) -> None:
    confirmed(world)
    world.leave(world.sessions[0])


def lingering_beside_another(world: World) -> None:
    confirmed_for_two(world)
    world.leave(world.sessions[0])


def stop_queued(world: World) -> None:
    confirmed(world)
    world.has_slot = False
    world.leave(world.sessions[0], error=True)


def stop_in_flight(world: World) -> None:
    confirmed(world)
    world.leave(world.sessions[0], error=True)


def stop_in_flight_beside_another(world: World) -> None:
    stop_in_flight(world)
    world.join()


def stop_backing_off(world: World) -> None:
    stop_in_flight(world)
    world.answer("UNKNOWN", retry_in=2.0, where=0.0)


def stop_lost(world: World) -> None:
    stop_in_flight(world)
    world.answer("NO_ANSWER", where=1.0)


def confirmed_after_a_lost_stop(world: World) -> None:
    stop_lost(world)
    world.join()
    world.answer("ACCEPTED")


def lost_start_stopped_once(world: World) -> None:
    start_lost(world)
    world.leave(world.sessions[0], error=True)
    world.answer("ACCEPTED")


def paused(world: World) -> None:
    confirmed(world)
    world.pause(world.sessions[0])
    world.answer("ACCEPTED")


def stopping_for_a_pause(world: World) -> None:
    confirmed(world)
    world.pause(world.sessions[0])


def expired(world: World) -> None:
    world.join(SessionOptions(max_duration=10.0))
    world.answer("ACCEPTED")
    world.advance(10.0)
    world.answer("ACCEPTED")


def message_in_flight(world: World) -> None:
    confirmed(world)
    world.send(world.sessions[0])


def message_in_flight_all_left(world: World) -> None:
    message_in_flight(world)
    world.leave(world.sessions[0], error=True)


def message_beside_a_start(world: World) -> None:
    world.join()
    world.send(world.sessions[0])


def message_over_a_start(world: World) -> None:
    message_beside_a_start(world)
    world.answer("ACCEPTED")


def settling_clean(world: World) -> None:
    message_in_flight(world)
    world.end(world.messages[0])


def settling_clean_beside_another(world: World) -> None:
    confirmed_for_two(world)
    world.sent(world.sessions[0])


def settling_dirty(world: World) -> None:
    message_over_a_start(world)
    world.end(world.messages[0])


def settling_dirty_in_flight(world: World) -> None:
    message_beside_a_start(world)
    world.end(world.messages[0])


def quiet(world: World) -> None:
    settling_clean(world)
    world.advance(5.0)


def quiet_for_a_while(world: World) -> None:
    world.join(SessionOptions(resume_after=8.0))
    world.answer("ACCEPTED")
    world.advance(1.0)
    world.sent(world.sessions[0])
    world.advance(3.0)


def flushing_in_a_message(world: World) -> None:
    message_over_a_start(world)
    world.leave(world.sessions[0])
    world.has_slot = False
    world.flush()


def flushing_beside_another(world: World) -> None:
    confirmed_for_two(world)
    world.send(world.sessions[0])
    world.flush()


def settling_for_half_a_second(world: World) -> None:
    settling_clean_beside_another(world)
    world.went_out(world.messages[0])


def settling_twice(world: World) -> None:
    settling_clean_beside_another(world)
    world.advance(1.0)
    world.sent(None)


def delivered(world: World) -> None:
    settling_clean(world)
    world.deliver(world.messages[0])


def started_after_a_message(world: World) -> None:
    settling_clean_beside_another(world)
    world.advance(3.0)
    world.answer("ACCEPTED")
    world.advance(3.0)


def to_show_again(world: World) -> None:
    confirmed(world)
    world.advance(3.0)
    world.has_slot = False
    world.read()


def stopping_to_show_again(world: World) -> None:
    confirmed(world)
    world.advance(3.0)
    world.read()


def refused(world: World) -> None:
    world.join()
    world.answer("REFUSED")


def refused_and_left(world: World) -> None:
    refused(world)
    world.leave(world.sessions[0], error=True)


def refused_while_confirmed(world: World) -> None:
    refresh_in_flight(world)
    world.answer("REFUSED")


STATES: list[Callable[[World], None]] = [
    idle, start_delayed, start_queued, start_in_flight, start_unwanted, start_backing_off, start_lost,
    start_throttled, confirmed, confirmed_for_two, refresh_due, refresh_in_flight, refresh_backing_off,
    refresh_given_up, lingering, lingering_beside_another, stop_queued, stop_in_flight,
    stop_in_flight_beside_another, stop_backing_off, stop_lost, confirmed_after_a_lost_stop,
    lost_start_stopped_once, stopping_for_a_pause, paused, expired, message_in_flight, message_in_flight_all_left,
    message_beside_a_start, message_over_a_start, settling_clean, settling_clean_beside_another, settling_dirty,
    settling_dirty_in_flight, quiet, quiet_for_a_while, flushing_in_a_message, flushing_beside_another,
    settling_for_half_a_second, settling_twice, delivered, started_after_a_message, to_show_again,
    stopping_to_show_again, refused, refused_and_left, refused_while_confirmed,
]  # fmt: skip


# -- Inputs. False where it cannot happen.


def join(world: World) -> bool:
    world.join()
    return True


def leave(world: World, **how: bool) -> bool:
    return bool(world.open) and (world.leave(world.open[0], **how) or True)


def pause(world: World) -> bool:
    return bool(world.open) and (world.pause(world.open[0]) or True)


def resume(world: World) -> bool:
    return bool(world.open) and (world.resume(world.open[0]) or True)


def flush(world: World) -> bool:
    world.flush()
    return True


def begin(world: World) -> bool:
    world.send("unknown")
    return True


def end(world: World, accepted: bool) -> bool:
    return bool(world.on_their_way) and (world.end(world.on_their_way[0], accepted) or True)


def mark(world: World, own: bool) -> bool:
    world.sent("unknown" if own else None)
    return True


def tell(world: World, what: Callable[[World, Message], None]) -> bool:
    return bool(world.known) and (what(world, world.known[0]) or True)


def observe(world: World) -> bool:
    world.observe()
    return True


def read(world: World) -> bool:
    world.read()
    return True


def answer(world: World, outcome: str, retry_in: float | None = None) -> bool:
    return world.in_flight is not None and (world.answer(outcome, retry_in=retry_in, where=0.5) or True)


def time(world: World) -> bool:
    world.advance(1.0)
    return True


INPUTS: dict[str, Callable[[World], bool]] = {
    "join": join,
    "leave": leave,
    "raise": partial(leave, error=True),
    "pause": pause,
    "resume": resume,
    "flush": flush,
    "send": begin,
    "sent": partial(end, accepted=True),
    "unsent": partial(end, accepted=False),
    "mark": partial(mark, own=True),
    "other's": partial(mark, own=False),
    "out": partial(tell, what=World.went_out),
    "there": partial(tell, what=World.deliver),
    "failed": partial(tell, what=World.fail),
    "foreign": observe,
    "read": read,
    "204": partial(answer, outcome="ACCEPTED"),
    "500": partial(answer, outcome="UNKNOWN", retry_in=2.0),
    "lost": partial(answer, outcome="NO_ANSWER", retry_in=2.0),
    "429": partial(answer, outcome="NOT_APPLIED", retry_in=2.0),
    "last": partial(answer, outcome="UNKNOWN"),
    "403": partial(answer, outcome="REFUSED"),
    "1 s": time,
}


def cell(machine: ModuleType, state: Callable[[World], None], what: Callable[[World], bool]) -> str:
    """What the indicator answers after the input; afterwards the world must come to its rest all the same."""
    world = World(machine, observes=True)
    world.ask()
    state(world)
    world.has_slot = False
    if not what(world):
        return "."
    said = world.said
    world.finish()
    return said


def row(machine: ModuleType, state: Callable[[World], None]) -> str:
    cells = [cell(machine, state, what) for what in INPUTS.values()]
    return f"{state.__name__:30}" + "".join(f"{text:>8}" for text in cells)


def header() -> str:
    return " " * 30 + "".join(f"{name:>8}" for name in INPUTS)


def expected() -> dict[str, str]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return {line.split(maxsplit=1)[0]: line for line in lines[1:]}


def check_table(machine: ModuleType) -> None:
    rows = expected()
    for state in STATES:
        assert row(machine, state) == rows[state.__name__], state.__name__


def test_the_table_is_whole() -> None:
    """It has these states and these inputs, no others."""
    assert TABLE.read_text(encoding="utf-8").splitlines()[0] == header()
    assert list(expected()) == [state.__name__ for state in STATES]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_input_in(machine: ModuleType, state: Callable[[World], None]) -> None:
    """Each input in this state has the answer that the table says."""
    assert row(machine, state) == expected()[state.__name__]


if __name__ == "__main__":
    print("\n".join([header(), *(row(_indicator, state) for state in STATES)]))
