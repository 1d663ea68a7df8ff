"""The engine's interface for its callers."""

from __future__ import annotations

from typing import Protocol

from .._core.indicator import MessageInFlight, SessionState
from .._core.observations import Observation
from .waiting import Completion


class Engine(Protocol):
    """Is told what happens to sessions and messages. Every method may be called from any thread, and none blocks.

    Inputs from one thread are processed in order. Each carries the time, by :meth:`now`, at which it happened for the
    caller.
    """

    @property
    def alive(self) -> bool:
        """Whether this is still the process in which it was made."""
        ...

    @property
    def can_be_waited_for(self) -> bool:
        """Whether the caller may wait for a completion: not on the library's own thread, which sets it."""
        ...

    def now(self) -> float:
        """The time, in seconds, on the clock of all inputs."""
        ...

    def join(self, chat_id: str, state: SessionState) -> None:
        """A session has begun."""
        ...

    def leave(
        self, chat_id: str, state: SessionState, at: float, linger: float, done: Completion | None = None
    ) -> None:
        """A session has ended; its stop may wait ``linger`` seconds. Idempotent: the first call counts.

        ``done`` is set once nothing is pending in the chat.
        """
        ...

    def pause(self, chat_id: str, state: SessionState, at: float) -> None:
        """A session does not want the indicator for a while."""
        ...

    def resume(self, chat_id: str, state: SessionState, at: float) -> None:
        """A session wants the indicator again, after a pause or a message."""
        ...

    def send_began(self, chat_id: str, message: MessageInFlight) -> None:
        """A message is in flight."""
        ...

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        """A message was answered, or never will be. If only its answer named the chat, it has not begun before.
        Idempotent."""
        ...

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        """A message was sent in a way that the library can't detect. Ignored in a chat without a session."""
        ...

    def observe(self, observation: Observation | None, at: float) -> None:
        """A webhook has arrived. None: it is irrelevant, but from now on this process's messages are remembered, to be
        matched with webhooks. Ignored while the engine is closed."""
        ...
