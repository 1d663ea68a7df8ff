"""Runs the :class:`.member.Member` of one manager on the loop thread, over a server, for a runner.

How a runner uses it. Its chats are ``SharedIndicator`` s that have a ``Share``; it differs in these places::

    before a request       if sharing.may_send(chat, action): send it as ever
                           (else the slot stays taken until ``granted`` or ``not_granted``)
    after every review     sharing.review(chat)
    first input            sharing.start()
    closing, at its end    await sharing.aclose()

and it is a :class:`Host`. A runner without ``redis=`` knows nothing of this.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Sequence
from math import inf
from typing import Any, Final, Generic, Protocol, TypeVar

from .._core.indicator import Action
from .._core.member import HEARTBEAT, PATIENCE, Call, Dead, Exchange, Member, Mode
from .._core.shared_indicator import SharedIndicator

C = TypeVar("C", bound=SharedIndicator)

TAKE_OVER_FOR: Final = 1.0  #: seconds after which the next heartbeat is more urgent
DENIED_FOR: Final = 600.0  #: seconds without heartbeats after a denied exchange: they would be answered all the same
SLICES: Final = 20  #: of a wait; see wait_patiently


class ServerError(Exception):
    """The server did not do what it was asked. ``denied``: and will not, until somebody mends the configuration."""

    def __init__(self, text: str, *, denied: bool = False) -> None:
        super().__init__(text)
        self.denied = denied


class Server(Protocol):
    """Where the scripts run. Every method may raise ServerError."""

    async def connect(self) -> None:
        """Connect, if it is not connected."""
        ...

    async def run(self, calls: Sequence[Call], *, heartbeat: bool = False) -> list[Any]:
        """The replies to the calls, in time."""
        ...

    async def aclose(self) -> None:
        """Drop the connections."""
        ...


class Host(Protocol[C]):
    """The runner."""

    def now(self) -> float: ...

    def all_chats(self) -> Iterable[C]: ...

    def chat(self, chat_id: str) -> C:
        """The chat; made, if there is none yet."""
        ...

    def review(self, chat: C) -> None:
        """Something about it may have changed: ask the indicator what now."""
        ...

    def granted(self, chat: C, action: Action) -> bool:
        """Send that now, if it is still what is to be done. Returns whether it was sent."""
        ...

    def not_granted(self, chat: C) -> None:
        """Free the slot that the request was to have."""
        ...

    def mode_changed(self, mode: Mode, error: ServerError | None) -> None:
        """It is alone or shared from now on."""
        ...


async def wait_patiently(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for the task, for so many seconds in which this loop had nothing else to do.

    What keeps the loop busy keeps it from reading the answer, too. So the time is divided into slices, and one that
    lasts longer still counts as one: an answer gets as many turns of the loop, however long they are.
    """
    for _ in range(SLICES):
        if (await asyncio.wait({task}, timeout=seconds / SLICES))[0]:
            return


class Sharing(Generic[C]):
    """The member of one manager, at work."""

    def __init__(self, server: Server, member: Member[C], host: Host[C]) -> None:
        self.member = member
        self._server = server
        self._host = host
        self._mode = Mode.CONNECTING  # as the host knows it
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._next_heartbeat: asyncio.TimerHandle | None = None
        self._started = self._closing = False
        self._pump_due = False
        self._denied = False  # as the host knows it
        self._denied_until = -inf

    def start(self) -> None:
        """Join the others. Until the first answer nothing is sent; without one, from PATIENCE on, as if alone."""
        if not self._started:
            self._started = True
            first = self._beat()
            self._connecting = self._create_task(self._give_up_connecting(first))

    def may_send(self, chat: C, action: Action) -> bool:
        """Whether the request may be sent at once. If not, the others are asked."""
        if self.member.may_send_alone:
            return True
        self.member.ask(chat, action)
        self._pump_soon()
        return False

    def review(self, chat: C) -> None:
        """Tell the others, if there is something to tell."""
        if not self._started or self._closing:
            return
        self.member.review(chat, self._host.now())
        self._pump_soon()

    async def aclose(self) -> None:
        """Tell what is left to tell, and leave. It may start again."""
        if not self._started:
            return
        self._closing = True
        for waiting in (self._connecting, self._next_heartbeat):
            if waiting is not None:
                waiting.cancel()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._tell_the_rest(), PATIENCE)
        for task in self._tasks:
            task.cancel()
        if self.member.mode is Mode.SHARED:
            with contextlib.suppress(ServerError):
                await self._server.run([self.member.heartbeat(leave=True)], heartbeat=True)
        await self._server.aclose()
        self._withdraw()
        self.member.renew(Mode.CONNECTING)
        self._mode, self._started, self._closing = Mode.CONNECTING, False, False
        self._denied_until = -inf

    async def _tell_the_rest(self) -> None:
        while True:
            self._pump()
            if not self._tasks:
                return
            await asyncio.wait(self._tasks)

    # -- Chats

    def _pump_soon(self) -> None:
        """Once the runner has dispatched what is due in this turn of the loop: all goes out in one batch."""
        if not self._pump_due:
            self._pump_due = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        batch = self.member.batch(self._host.now())
        if batch:
            self._create_task(self._exchange(batch))

    async def _exchange(self, batch: Sequence[Exchange[C]]) -> None:
        try:
            replies = await self._server.run([exchange.call for exchange in batch])
        except ServerError as error:
            self._denied_until = self._host.now() + DENIED_FOR if error.denied else -inf
            self._lost(error)
            return
        for chat, ask, granted in self.member.answered(batch, replies, self._host.now()):
            if ask is not None and not (granted and self._host.granted(chat, ask)):
                if granted:
                    self.member.return_lease(chat)
                self._host.not_granted(chat)
            self._host.review(chat)
        if self.member.mode is Mode.ALONE:
            self._lost(None)
        self._pump_soon()

    # -- Heartbeats

    def _beat(self) -> asyncio.Task[None]:
        self._next_heartbeat = None
        return self._create_task(self._heartbeat_and_next())

    async def _heartbeat_and_next(self) -> None:
        try:
            while self._host.now() >= self._denied_until and not await self._heartbeat():
                pass
        except ServerError as error:
            self._lost(error)
        if not self._closing:
            self._next_heartbeat = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)

    async def _heartbeat(self) -> bool:
        """Returns False if this member is dead: join at once, as another."""
        await self._server.connect()
        was_shared, sent_at = self.member.mode is Mode.SHARED, self._host.now()
        (reply,) = await self._server.run([self.member.heartbeat()], heartbeat=True)
        news, dead = self.member.heartbeat_answered(reply, sent_at, self._host.now())
        if self.member.mode is not Mode.SHARED:
            self._lost(None)
            return False
        self._look_at(news)
        if not was_shared:
            self._together_again()
        for each in dead:
            await self._take_over(each)
        return True

    def _together_again(self) -> None:
        for chat_id in list(self.member.held):  # also those that were forgotten meanwhile
            self._host.chat(chat_id)
        self.member.start_over(self._host.all_chats())
        self._pump_soon()
        self._tell_mode(None)

    async def _take_over(self, dead: Dead) -> None:
        until, more = self._host.now() + TAKE_OVER_FOR, True
        while more and self._host.now() < until:
            (chats,) = await self._server.run([self.member.take_over(dead)], heartbeat=True)
            more = self.member.took_over(chats)
            self._look_at(chats)

    def _look_at(self, chat_ids: Sequence[str]) -> None:
        for chat_id in chat_ids:
            chat = self._host.chat(chat_id)
            chat.share.dirty = True
            self._host.review(chat)

    # -- Alone

    async def _give_up_connecting(self, first_heartbeat: asyncio.Task[None]) -> None:
        await wait_patiently(first_heartbeat, PATIENCE)
        if self.member.mode is Mode.CONNECTING:
            self._lost(ServerError(f"no answer within {PATIENCE:g} s"))

    def _lost(self, error: ServerError | None) -> None:
        self._withdraw()
        self._tell_mode(error)

    def _withdraw(self) -> None:
        unheard = self.member.unheard()
        for chat in self.member.lost():
            self._host.not_granted(chat)
        for chat in unheard:
            self._host.review(chat)

    def _tell_mode(self, error: ServerError | None) -> None:
        denied = error is not None and error.denied
        if self._mode is not self.member.mode or (denied and not self._denied):
            self._mode, self._denied = self.member.mode, denied
            self._host.mode_changed(self._mode, error)

    def _create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
