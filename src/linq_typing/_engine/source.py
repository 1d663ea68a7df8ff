"""Makes the engine of a manager: at its first use, again after a fork, and when the environment has changed."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import httpx

from .._core.indicator import SessionState
from .._core.observations import Observation
from .._linq import PUBLIC_BASE_URL
from .._settings import Credentials, HTTPSettings, enabled_by_environment, from_environment
from ..errors import ConfigurationError, LinqTypingError
from ..events import EventHook
from .engine import LoopEngine
from .http import TypingAPI
from .lifecycle import Life
from .loop import LoopThread
from .process import loop_thread, process_lock
from .runner import Runner
from .transports import TransportOption
from .waiting import Completion

logger = logging.getLogger("linq_typing")


class EngineSettings(NamedTuple):
    """The settings to make engines with."""

    credentials: Credentials
    http: HTTPSettings
    settle: float
    transport: TransportOption = None
    hooks: Sequence[EventHook] = ()
    enabled: bool | None = None
    make_runner: Callable[..., Runner] = Runner  #: another one, if its chats are shared with other processes

    @property
    def is_enabled(self) -> bool:
        return enabled_by_environment() if self.enabled is None else self.enabled

    def known_credentials(self) -> Credentials:
        """The given credentials, else those in the environment now: a .env file may be loaded late."""
        return self.credentials.or_else(from_environment())


class EngineSource:
    """The engine of one manager, which may be used from any thread."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.engine: LoopEngine | None = None
        self._api: TypingAPI | None = None
        self._made_in: int | None = None  # the process that made the engine
        self._finalizer = weakref.finalize(self, lambda: None)
        self._was_closed = False  # since the environment was last looked at
        self.observes = False  # whether webhooks have come
        self._problem: str | None = None  # why no engine could be made, as last logged

    @property
    def life(self) -> Life:
        if not self.settings.is_enabled:
            return Life.DISABLED
        return Life.OPEN if self.engine is None or not self.engine.alive else self.engine.life

    @property
    def is_shared(self) -> bool:
        """Whether its chats are shared with other processes."""
        return self.settings.make_runner is not Runner

    @property
    def base_url(self) -> str:
        return self.settings.known_credentials().base_url or PUBLIC_BASE_URL

    def now(self) -> float:
        """The time on the clock of its engines."""
        return LoopThread.now()

    def prepare(self) -> None:
        """Load certificates, which is slow, so that the first session need not wait. Raises ConfigurationError."""
        if self.settings.is_enabled and self.settings.known_credentials().api_key:
            self._api = self._make_api()

    def get(self, state: SessionState | None = None) -> LoopEngine | None:
        """The engine, ready for use. None if there can be none: ``state.error`` says why."""
        return self._ready() or self._open(state)

    def get_for_message(self) -> LoopEngine | None:
        """The engine to tell about a message. None if it would do nothing: disabled, or without a key."""
        if (engine := self._ready()) is not None:
            return engine
        return self._open() if self.settings.known_credentials().api_key else None

    def get_for_marking(self) -> LoopEngine | None:
        """The engine to tell about a message in a chat that may have a session. None if no engine knows of one."""
        return self.get_for_message() if self.is_shared else self.engine

    def observe(self, observation: Observation | None) -> None:
        """Tell the engine, if there is one, what a webhook says, and every later engine that there are webhooks."""
        self.observes = True
        engine = self.engine if observation is None else self.get_for_marking()
        if engine is not None:
            engine.observe(observation, engine.now())

    def get_for_waiting(self) -> LoopEngine | None:
        """The engine, if it was ever needed in this process. RuntimeError where waiting for it would deadlock."""
        engine = self.engine
        if engine is None or not engine.alive:
            return None
        if not engine.can_be_waited_for:
            raise RuntimeError("flush() and close() can't be called from on_event: they would wait for themselves")
        return engine

    def begin_close(self) -> Completion:
        """Close the engine. The next session looks at the environment again, even if a message opens it before."""
        engine = self.get_for_waiting()
        done = Completion(True) if engine is None else engine.begin_close()
        self._was_closed = True  # not before: it must not be reset by a session that reaches the engine first
        return done

    def renew(self, keep: object) -> None:
        """Make the next use create a new engine, with the settings and the environment at that time. Open sessions
        continue on the old one; ``keep`` is kept alive until they have ended."""
        engine, self.engine, self._api = self.engine, None, None
        if engine is not None:
            engine.retire(keep, close_transport=False)  # its transport serves the next one

    @contextmanager
    def replaced(self, settings: EngineSettings, keep: object) -> Iterator[None]:
        """Make engines with these settings inside the block."""
        before = self.settings
        self.renew(keep)
        self.settings = settings
        try:
            yield
        finally:
            self.renew(keep)
            self.settings = before

    def _ready(self) -> LoopEngine | None:
        """The engine, if it can be used at once: in this process, and not closed since its last use."""
        engine = self.engine
        return engine if engine is not None and engine.alive and not self._was_closed else None

    def _open(self, state: SessionState | None = None) -> LoopEngine | None:
        if not self.settings.is_enabled:
            return None
        error = None
        with process_lock():
            if self._credentials_changed():
                self.renew(None)
            self._was_closed = False
            try:
                if self.engine is None or not self.engine.alive:
                    self.engine = self._make_engine()
            except LinqTypingError as found:
                error = found
            engine = self.engine
        if error is not None and state is not None:
            state.error = error
        self._report(error)
        return engine if engine is not None and engine.alive else None

    def _credentials_changed(self) -> bool:
        """Whether the credentials differ from those that the connections were made with."""
        try:
            return self._api is not None and self.settings.known_credentials().checked() != self._api.credentials
        except ConfigurationError:
            return True

    def _report(self, error: LinqTypingError | None) -> None:
        """Log why nothing is sent: once, not for each session."""
        problem = None if error is None else error.message
        logged, self._problem = self._problem, problem  # first: logging takes long enough for others to come here
        if problem is not None and problem != logged:
            level = logging.ERROR if isinstance(error, ConfigurationError) else logging.WARNING
            logger.log(level, "no typing indicators: %s", problem)

    def _make_engine(self) -> LoopEngine | None:
        """None once the interpreter is exiting. Raises LinqTypingError if no engine can be made now."""
        forked = self._made_in not in (None, os.getpid())
        if forked and isinstance(self.settings.transport, httpx.AsyncBaseTransport):
            raise LinqTypingError(
                "a transport object can't be used after a fork: make a new TypingManager in the child process"
            )
        if self._api is None or self.engine is not None:  # it is dead: its connections are the parent's, or its loop's
            self._api = self._make_api()
        thread = loop_thread()
        if thread is None:
            return None
        settings = self.settings
        engine = LoopEngine(
            thread,
            self._api,
            settle=settings.settle,
            max_connections=settings.http.max_connections,
            hooks=settings.hooks,
            make_runner=settings.make_runner,
        )
        if self.observes:
            engine.observe(None, engine.now())
        self._made_in = os.getpid()
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, engine.retire)  # if the manager is dropped, not closed
        self._finalizer.atexit = False
        return engine

    def _make_api(self) -> TypingAPI:
        return TypingAPI(self.settings.known_credentials().checked(), self.settings.http, self.settings.transport)
