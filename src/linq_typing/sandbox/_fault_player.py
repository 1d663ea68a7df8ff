"""Serves one request with faults: delayed, with a wrong answer, or without any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.types import Receive

from linq_typing.sandbox._faults import Answer, Loss, Plan
from linq_typing.sandbox._http import ApiError, Response, disconnected, response
from linq_typing.sandbox._records import Outcome

CONNECTION = "linq_typing.sandbox.connection"
"""The key in the ASGI scope's `state` under which the server puts the request's `Connection`."""


class Connection(Protocol):
    """What the server must offer so that answers can be lost; without it, a loss raises `ConnectionResetError`."""

    on_lost: Callable[[], None] | None
    """Called on the event loop when the client has disconnected."""

    def drop(self) -> None:
        """Close the socket at once."""


class FaultPlayer:
    """Carries out the plan for one request.

    Parameters:
        perform: applies the request's effect and returns the right answer.
        end: logs how the request ended; only the first call counts.
    """

    def __init__(
        self, plan: Plan, perform: Callable[[], Response], end: Callable[[Outcome], None], trace_id: str
    ) -> None:
        self._plan = plan
        self._perform = perform
        self._end = end
        self._trace_id = trace_id

    async def play(self, connection: Connection | None, receive: Receive) -> Response | None:
        """Returns the answer to send, or None if there is none."""
        if connection is not None:
            connection.on_lost = self._abandoned
        await _pause(self._plan.before)
        answer = self._act()
        await _pause(self._plan.after)
        if answer is None:
            await self._lose(connection, receive)
        return answer

    def _act(self) -> Response | None:
        fault = self._plan.outcome
        if fault is None:
            return self._perform()
        if fault.effect and fault.effect_after:
            asyncio.get_running_loop().call_later(fault.effect_after, self._perform)
        elif fault.effect:
            self._perform()
        return _wrong_answer(fault, self._trace_id) if isinstance(fault, Answer) else None

    async def _lose(self, connection: Connection | None, receive: Receive) -> None:
        if isinstance(self._plan.outcome, Loss) and not self._plan.outcome.hang:
            self._end("dropped")
            if connection is None:
                raise ConnectionResetError("the sandbox lost this answer")
            connection.drop()
        await disconnected(receive)  # if this returned earlier, the server would report a missing answer
        self._abandoned()

    def _abandoned(self) -> None:
        self._end("abandoned")


def _wrong_answer(fault: Answer, trace_id: str) -> Response:
    if fault.body is None and fault.status >= 400:
        return ApiError(fault.status, fault.code, fault.message, fault.retry_after).response(trace_id)
    return response(fault.status, fault.body or b"", code=fault.code, retry_after=fault.retry_after)


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
