"""The engine as callers use it, from any thread: it posts to the library's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._core.indicator import MessageInFlight, SessionState
from .._core.observations import Observation
from ..events import EventHook, Stats
from .http import TypingAPI
from .lifecycle import Life, Lifecycle
from .loop import LoopThread
from .observing import Observing
from .runner import Runner
from .waiting import Completion


class LoopEngine:
    """The indicators of one manager, on a loop thread. See :class:`.interface.Engine` for the inputs."""

    def __init__(
        self,
        thread: LoopThread,
        api: TypingAPI,
        *,
        settle: float,
        max_connections: int,
        hooks: Sequence[EventHook],
        make_runner: Callable[..., Runner] = Runner,
    ) -> None:
        self._thread = thread
        self._post = thread.post
        self.now = thread.now
        self._runner = make_runner(thread.now, api, settle=settle, max_connections=max_connections, hooks=hooks)
        self._lifecycle = Lifecycle(thread, self._runner, api)
        self._observing = Observing(self._runner, self._lifecycle)

    @property
    def life(self) -> Life:
        return self._lifecycle.life

    @property
    def alive(self) -> bool:
        return not self._thread.dead

    @property
    def can_be_waited_for(self) -> bool:
        return self.alive and not self._thread.is_current

    def stats(self) -> Stats:
        """A snapshot; the numbers may be a moment apart."""
        return self._runner.stats()

    # -- Inputs

    def join(self, chat_id: str, state: SessionState) -> None:
        self._post(self._lifecycle.open_and_forward, self._runner.join, chat_id, state)

    def leave(
        self, chat_id: str, state: SessionState, at: float, linger: float, done: Completion | None = None
    ) -> None:
        self._post(self._lifecycle.forward, self._runner.leave, chat_id, state, at, linger, done)

    def pause(self, chat_id: str, state: SessionState, at: float) -> None:
        self._post(self._lifecycle.forward, self._runner.pause, chat_id, state, at)

    def resume(self, chat_id: str, state: SessionState, at: float) -> None:
        self._post(self._lifecycle.forward, self._runner.resume, chat_id, state, at)

    def send_began(self, chat_id: str, message: MessageInFlight) -> None:
        self._post(self._lifecycle.open_and_forward, self._runner.send_began, chat_id, message)

    def send_ended(self, chat_id: str, message: MessageInFlight, at: float, accepted: bool) -> None:
        self._post(self._lifecycle.forward, self._observing.send_ended, chat_id, message, at, accepted)

    def mark_sent(self, chat_id: str, message: MessageInFlight) -> None:
        self._post(self._lifecycle.open_and_forward, self._observing.mark_sent, chat_id, message)

    def observe(self, observation: Observation | None, at: float) -> None:
        self._post(self._observing.observe, observation, at)

    # -- Ends

    def flush(self) -> Completion:
        """Send due and delayed stops now. The completion says whether all were accepted."""
        done = Completion()
        self._post(self._lifecycle.flush, done)
        return done

    def begin_close(self) -> Completion:
        """End all sessions, send the stops (5 s at most), close all connections. The completion says whether all stops
        were accepted. A later session reopens the engine."""
        return self._lifecycle.begin_close()

    def retire(self, keep: object = None, *, close_transport: bool = True) -> None:
        """Close once the open sessions have ended and their stops are out. Until then ``keep`` is kept alive: the
        manager, which is told about their messages. ``close_transport``: close the user's transport too."""
        self._post(self._lifecycle.retire, keep, close_transport)
