"""The life of an engine: it opens at its first use, closes, and opens again at the next use."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

from .http import TypingAPI
from .loop import LoopThread
from .process import EXIT_TIMEOUT
from .runner import Runner
from .transports import CLOSE_TIMEOUT
from .waiting import Completion, wait_for_async

PATIENCE: Final = 0.45 * EXIT_TIMEOUT  #: seconds: wait this long for stops, cancel hung starts, wait again


class Life(enum.Enum):
    """The state of a manager's life."""

    OPEN = "open"
    RETIRING = "retiring"  #: it was replaced or dropped, and closes once its open sessions have ended
    CLOSING = "closing"
    CLOSED = "closed"  #: the next use opens it again
    DISABLED = "disabled"  #: it sends nothing


#: States in which it can be used at once.
READY: Final = (Life.OPEN, Life.RETIRING)


class Lifecycle:
    """Opens and closes a runner. Runs on the loop's thread, except for ``life`` and what is under "From any thread".

    Inputs come through :meth:`forward` and :meth:`open_and_forward`. Those that arrive while it is closing are
    processed afterwards, in order. Once the process is exiting they are dropped.
    """

    def __init__(self, thread: LoopThread, runner: Runner, api: TypingAPI) -> None:
        self.life = Life.OPEN
        self._opens_as = Life.OPEN
        self._exiting = False
        self._thread = thread
        self._runner = runner
        self._api = api
        self._closing = Completion()
        self._postponed: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._close_transport = False
        self._kept: object = None
        runner.on_change = self._close_if_retired
        thread.add_resident(self)

    # -- From any thread

    def begin_close(self) -> Completion:
        """End all sessions, send the stops (5 s at most), close all connections."""
        return self._begin(self._close)

    def begin_exit(self) -> Completion:
        """Close for good: the process is exiting."""
        return self._begin(self._exit)

    def _begin(self, end: Callable[[Completion], None]) -> Completion:
        done = Completion()
        self._thread.post(end, done)
        if self._thread.dead:
            done.set(True)
        return done

    # -- Inputs

    def forward(self, call: Callable[..., None], *args: Any) -> None:
        """Pass an input to the runner."""
        if self._exiting:
            self._drop(args)
        elif self.life is Life.CLOSING:
            self._postponed.append((self.forward, (call, *args)))
        else:
            call(*args)

    def open_and_forward(self, call: Callable[..., None], *args: Any) -> None:
        """Pass an input to the runner, and reopen it if it is closed."""
        self.forward(self._open, call, *args)

    def _open(self, call: Callable[..., None], *args: Any) -> None:
        if self.life is Life.CLOSED:
            self.life = self._opens_as
        call(*args)

    def _drop(self, args: Sequence[Any]) -> None:
        """Ignore an input, as the process is exiting. Whoever waits for it is told when all is closed."""
        for waited_for in args:
            if isinstance(waited_for, Completion):
                self._closing.add_callback(waited_for.set)

    # -- Ends

    def flush(self, done: Completion) -> None:
        """Send due and delayed stops now; ``done`` says whether all were accepted."""
        if not self._closes_already(self.flush, done):
            self._runner.flush(done)

    def retire(self, keep: object, close_transport: bool) -> None:
        """Close once the open sessions have ended and their stops are out. Until then ``keep`` is kept alive."""
        if self.life is Life.CLOSING:
            self._postponed.append((self.retire, (keep, close_transport)))
            return
        self.life = self._opens_as = Life.RETIRING
        self._close_transport = close_transport
        self._kept = keep
        self._close_if_retired()

    def _close(self, done: Completion) -> None:
        if self._closes_already(self._close, done):
            return
        self.life, self._closing = Life.CLOSING, Completion()
        self._closing.add_callback(done.set)
        self._runner.end_sessions()
        flushed = Completion()
        self._runner.flush(flushed)
        self._runner.create_task(self._finish(flushed))

    def _exit(self, done: Completion) -> None:
        self._exiting = True
        self._close(done)
        for _, args in self._postponed:
            self._drop(args)
        self._postponed.clear()

    def _closes_already(self, call: Callable[[Completion], None], done: Completion) -> bool:
        """Whether it is closing. If so, ``done`` is set when it has closed, or ``call`` is made after the inputs that
        came before it."""
        if self.life is not Life.CLOSING:
            return False
        if self._postponed:
            self._postponed.append((call, (done,)))
        else:
            self._closing.add_callback(done.set)
        return True

    def _close_if_retired(self) -> None:
        if self.life is Life.RETIRING and not self._runner.is_busy:
            self._close(Completion())

    async def _finish(self, flushed: Completion) -> None:
        clean, closing = False, self._closing
        try:
            await wait_for_async(flushed, PATIENCE)
            self._runner.cancel_starts()
            clean = await wait_for_async(flushed, PATIENCE)
            await self._runner.end_requests()
            await self._close_api()
        finally:
            self._kept = None
            self.life = Life.CLOSED
            if not self._exiting:
                self._runner.restart()
            postponed, self._postponed = self._postponed, []
            for call, args in postponed:
                call(*args)
            closing.set(clean)

    async def _close_api(self) -> None:
        """Close the connections. The user's transport may do anything, even hang."""

        async def close() -> None:
            with contextlib.suppress(BaseException):
                await self._api.aclose(for_good=self._exiting or self._close_transport)

        closing = self._runner.create_task(close())
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
        closing.cancel()
