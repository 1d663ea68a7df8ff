"""Finds indicators that were left showing, and says why and how to fix it."""

from __future__ import annotations

from typing import Final, NamedTuple

from linq_typing._manager import managers_from_environment
from linq_typing.sandbox import Request, Sandbox, Timeline
from linq_typing.sandbox._timeline import describe

PATIENCE: Final = 1.0
"""Real seconds to wait for what may still end an indicator: a block that is being left, a stop in flight."""

MAX_LANDING: Final = 5.0
"""Real seconds to wait, at most, until a message has landed."""


class GhostError(AssertionError):
    """A typing indicator was left showing although nothing was running."""


class Diagnosis(NamedTuple):
    """Why an indicator was left, and how to fix it."""

    why: str
    fix: str


def assert_no_ghost(linq: Sandbox) -> None:
    """Flush, and raise `GhostError` if an indicator of the sandbox is left showing; the text has its timeline.

    Waits a second for the indicator to end first. The fixture and `sandbox()` call this at their ends.
    """
    for manager in managers_from_environment():
        manager.flush()
    linq.wait_until(lambda: not linq.ghosts(), PATIENCE + _until_landed(linq))
    with_ghost = [timeline for timeline in _timelines(linq) if timeline.ghost]
    if with_ghost:
        open_sessions = sum(manager.stats().sessions for manager in managers_from_environment())
        raise GhostError(report(with_ghost, open_sessions))


def report(with_ghost: list[Timeline], open_sessions: int) -> str:
    """The error's text."""
    where = "a chat" if len(with_ghost) == 1 else f"{len(with_ghost)} chats"
    parts = [f"The typing indicator was left showing in {where}, although nothing is running: a ghost indicator."]
    for timeline in with_ghost:
        found = diagnosis(timeline, open_sessions)
        parts += ["", describe(timeline), "", f"Why: {found.why}", f"Fix: {found.fix}"]
    return "\n".join(parts)


def diagnosis(timeline: Timeline, open_sessions: int) -> Diagnosis:
    """Why this chat's indicator was left showing."""
    start = next(request for request in reversed(timeline.starts) if request.change in ("shown", "extended"))
    later = [stop for stop in timeline.stops if stop.received_at >= start.received_at]
    if open_sessions:
        return _still_open(open_sessions)
    if later and later[-1].effect_at is None:
        return _stop_failed(later[-1])
    raced = [stop for stop in timeline.stops if stop.id in start.overlapped or start.id in stop.overlapped]
    if raced:
        return _raced(start, raced[-1])
    return _nobody_stopped(start)


def _still_open(count: int) -> Diagnosis:
    blocks = "a typing_while block is" if count == 1 else f"{count} typing_while blocks are"
    return Diagnosis(
        f"{blocks} still open: the test ended before the bot did.",
        "await the task, join the thread or close the generator that replies before the test ends; or wait for its "
        "message: linq_sandbox.wait_until(lambda: linq_sandbox.messages(chat)).",
    )


def _stop_failed(stop: Request) -> Diagnosis:
    how = f"was answered {stop.status}" if stop.status else "got no answer"
    return Diagnosis(
        f"stop #{stop.id} {how}, and had no effect.",
        "if the test makes stops fail on purpose, limit the fault with fail(..., times=1), or end with clear_faults().",
    )


def _raced(start: Request, stop: Request) -> Diagnosis:
    return Diagnosis(
        f"stop #{stop.id} and start #{start.id} were in flight together, and the start took effect last.",
        "make typing requests only with typing_while: it never has two in flight for a chat. Use one TypingManager per "
        "chat, and don't call typing.start() or typing.stop().",
    )


def _nobody_stopped(start: Request) -> Diagnosis:
    return Diagnosis(
        f"no stop came after start #{start.id}, nor a message that cleared the indicator.",
        "use typing_while, which also stops, instead of typing.start(). If the bot has its own TypingManager, close it "
        "before the test ends: with TypingManager() as manager: ...",
    )


def _timelines(linq: Sandbox) -> list[Timeline]:
    chats = dict.fromkeys(request.chat_id for request in linq.requests if request.chat_id)
    return [linq.timeline(chat) for chat in chats]


def _until_landed(linq: Sandbox) -> float:
    """Real seconds until the last message has landed."""
    landings = [message.lands_at for chat in linq.ghosts() for message in linq.messages(chat)]
    return min(max(0.0, max(landings, default=0.0) - linq.now) / linq.time_scale, MAX_LANDING)
