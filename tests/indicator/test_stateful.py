"""Hypothesis looks for the shortest story in which the indicator does wrong."""

from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from linq_typing._core import indicator as _indicator
from linq_typing._core.indicator import UnknownSender

from .model import DELAYS, FAILURES, OPTIONS, RETRIES, RETRY_AFTERS, WHERE, Message, Session, World

where = st.sampled_from(WHERE)
late = st.sampled_from((0.0, 0.25, 1.0))


class Story(RuleBasedStateMachine):
    """Sessions, messages, answers and time in any order; :class:`World` judges each step."""

    machine: ModuleType = _indicator

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.machine)

    @initialize(starts_work=st.booleans(), observes=st.booleans())
    def begin(self, starts_work: bool, observes: bool) -> None:
        self.world.starts_work, self.world.observes = starts_work, observes

    def pick(self, data: Any, among: list[Any]) -> Any:
        return data.draw(st.sampled_from(among))

    @rule(options=st.sampled_from(OPTIONS), late=late)
    def join(self, options: Any, late: float) -> None:
        self.world.join(options, late=late)

    @precondition(lambda self: self.world.open)
    @rule(data=st.data(), error=st.booleans(), late=late)
    def leave(self, data: Any, error: bool, late: float) -> None:
        self.world.leave(self.pick(data, self.world.open), error=error, late=late)

    @precondition(lambda self: self.world.open)
    @rule(data=st.data(), late=late)
    def pause(self, data: Any, late: float) -> None:
        self.world.pause(self.pick(data, self.world.open), late=late)

    @precondition(lambda self: self.world.open)
    @rule(data=st.data(), late=late)
    def resume(self, data: Any, late: float) -> None:
        self.world.resume(self.pick(data, self.world.open), late=late)

    @rule()
    def flush(self) -> None:
        self.world.flush()

    @precondition(lambda self: not self.world.starts_work)
    @rule(has_slot=st.booleans())
    def grant(self, has_slot: bool) -> None:
        self.world.grant(has_slot)

    def sender(self, data: Any) -> Session | UnknownSender | None:
        return self.pick(data, [None, "unknown", *self.world.open, *self.world.lingering()])

    @rule(data=st.data(), late=late)
    def send(self, data: Any, late: float) -> None:
        self.world.send(self.sender(data), late=late)

    @precondition(lambda self: self.world.on_their_way)
    @rule(data=st.data(), accepted=st.booleans(), late=late, where=where)
    def end(self, data: Any, accepted: bool, late: float, where: float) -> None:
        message: Message = self.pick(data, self.world.on_their_way)
        self.world.end(message, accepted, late=late, where=where)

    @rule(data=st.data(), took=st.sampled_from((0.0, 0.5, 4.0)), late=late, where=where)
    def sent(self, data: Any, took: float, late: float, where: float) -> None:
        self.world.sent(self.sender(data), took=took, late=late, where=where)

    @precondition(lambda self: self.world.observes and self.world.undelivered)
    @rule(data=st.data(), what=st.sampled_from((World.went_out, World.deliver, World.fail)))
    def tell(self, data: Any, what: Any) -> None:
        what(self.world, self.pick(data, self.world.undelivered))

    @precondition(lambda self: self.world.observes)
    @rule(late=late)
    def observe(self, late: float) -> None:
        self.world.observe(late=late)

    @precondition(lambda self: self.world.observes)
    @rule(drops=st.booleans())
    def read(self, drops: bool) -> None:
        self.world.read(drops=drops)

    @precondition(lambda self: self.world.in_flight)
    @rule(where=where)
    def accept(self, where: float) -> None:
        self.world.answer("ACCEPTED", where=where)

    @precondition(lambda self: self.world.in_flight and not (self.world.starts_work and self.world.in_flight.start))
    @rule(
        outcome=st.sampled_from(FAILURES), retry_in=st.sampled_from(RETRIES),
        retry_after=st.sampled_from(RETRY_AFTERS), where=where,
    )  # fmt: skip
    def fail(self, outcome: str, retry_in: float | None, retry_after: float, where: float) -> None:
        retry_in = None if outcome == "REFUSED" else retry_in
        retry_after = retry_after if outcome in ("NOT_APPLIED", "UNKNOWN") else 0.0
        self.world.answer(outcome, retry_in=retry_in, retry_after=retry_after, where=where)

    @rule(seconds=st.sampled_from(DELAYS))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    def teardown(self) -> None:
        if self.world.sound:
            self.world.finish()


def check_stories(machine: ModuleType, examples: int, *, shrink: bool = True) -> None:
    """Search; without shrinking what is found is only long, not wrong."""
    story = type("Story", (Story,), {"machine": machine})
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        story,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            derandomize=True,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_story_breaks_a_promise(machine: ModuleType) -> None:
    """Hypothesis finds no story in which an answer contradicts the history."""
    check_stories(machine, 250)
