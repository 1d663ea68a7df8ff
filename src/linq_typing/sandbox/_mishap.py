"""One request that something goes wrong with: delays, a wrong answer, a lost one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.types import Receive

from linq_typing.sandbox._faults import Answer, Loss, Plan
from linq_typing.sandbox._records import Outcome
from linq_typing.sandbox._wire import Wire, wrong

CONNECTION = "linq_typing.sandbox.connection"
"""Where in the ASGI scope's `state` the server puts the request's `Connection`."""


class Connection(Protocol):
    """What a server must offer for answers to get lost; without it, a loss raises `ConnectionResetError`."""

    on_lost: Callable[[], None] | None
    """Called, on the event loop, when the client is gone."""

    def drop(self) -> None:
        """Close the socket at once."""


class Mishap:
    """Plays a plan.

    Parameters:
        perform: lets the request take effect; gives the right answer.
        end: notes how the request ended; only the first time counts.
    """

    def __init__(self, plan: Plan, perform: Callable[[], Wire], end: Callable[[Outcome], None], trace_id: str) -> None:
        self._plan = plan
        self._perform = perform
        self._end = end
        self._trace_id = trace_id

    async def play(self, connection: Connection | None, receive: Receive) -> Wire | None:
        """Go through it; the answer, or None when there is none."""
        if connection is not None:
            connection.on_lost = self._abandoned
        await _pause(self._plan.before)
        answer = self._act()
        await _pause(self._plan.after)
        if answer is None:
            await self._lose(connection, receive)
        return answer

    def _act(self) -> Wire | None:
        fault = self._plan.outcome
        if fault is None:
            return self._perform()
        if fault.effect and fault.effect_after:
            asyncio.get_running_loop().call_later(fault.effect_after, self._perform)
        elif fault.effect:
            self._perform()
        return wrong(fault, self._trace_id) if isinstance(fault, Answer) else None

    async def _lose(self, connection: Connection | None, receive: Receive) -> None:
        if isinstance(self._plan.outcome, Loss) and not self._plan.outcome.hang:
            self._end("dropped")
            if connection is None:
                raise ConnectionResetError("the sandbox lost this answer")
            connection.drop()
        # The task outlives the connection: a server takes an early return for a forgotten answer.
        while (await receive())["type"] != "http.disconnect":
            pass
        self._abandoned()

    def _abandoned(self) -> None:
        self._end("abandoned")


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
