"""All that happened in one chat, and its description in ASCII, for logs and terminals of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from linq_typing.sandbox._records import TYPING, Change, Endpoint, Message, Request, Service, Showing

EFFECTS: Final[dict[Change | None, str]] = {
    None: "no effect",
    "shown": "the indicator shows",
    "extended": "the indicator shows for longer",
    "hidden": "the indicator is gone",
    "message": "a message is on its way",
    "nothing": "changes nothing",
}
"""What a request changed, in words."""

_DELAYED = 0.5  # simulated seconds from a request's arrival to its effect that are worth mentioning
_SEEN, _UNSEEN = "[...]", "[   ]"


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that happened in one chat up to `now`. Its string has one line for each event."""

    chat_id: str
    service: Service
    is_group: bool
    now: float
    requests: tuple[Request, ...]
    showings: tuple[Showing, ...]
    messages: tuple[Message, ...]
    reopened: tuple[float, ...]
    max_typing_in_flight: int
    """The largest number of this chat's typing requests in flight at the same moment."""

    def __str__(self) -> str:
        return describe(self)

    def of(self, *endpoints: Endpoint) -> tuple[Request, ...]:
        """The requests for these endpoints, in the order of arrival."""
        return tuple(request for request in self.requests if request.endpoint in endpoints)

    @property
    def starts(self) -> tuple[Request, ...]:
        """The requests that ask for the indicator."""
        return self.of("start")

    @property
    def stops(self) -> tuple[Request, ...]:
        """The requests that take the indicator away."""
        return self.of("stop")

    @property
    def sends(self) -> tuple[Request, ...]:
        """The requests that send a message."""
        return self.of("send")

    @property
    def visible(self) -> bool:
        """Whether the indicator is showing at `now`."""
        return bool(self.showings) and self.showings[-1].until is None

    @property
    def seconds_visible(self) -> float:
        """For how long the indicator was showing in total."""
        return sum((self.now if s.until is None else s.until) - s.since for s in self.showings)

    @property
    def ghost(self) -> Showing | None:
        """The last showing if the bot has left it alone. While a bot is working, the present showing is not a ghost."""
        last = self.showings[-1] if self.showings else None
        return last if last and is_ghost(last, self.requests) else None

    def visible_at(self, time: float) -> bool:
        """Whether the indicator was showing at that time."""
        return any(s.since <= time and (s.until is None or time < s.until) for s in self.showings)


def is_ghost(showing: Showing, requests: Sequence[Request]) -> bool:
    """Whether the bot has left the indicator alone: it still shows, or it timed out after an accepted start.

    If the last typing request was a stop or a failed refresh, the bot was still taking care of the indicator. If the
    indicator still shows, the caller has to know whether a bot is working.

    Parameters:
        requests: the chat's requests up to the moment in question.
    """
    if showing.ended_by != "expired":
        return showing.until is None
    last = next((request for request in reversed(requests) if request.endpoint in TYPING), None)
    return last is None or (last.endpoint == "start" and last.accepted)


class _Row(NamedTuple):
    time: float
    order: int
    text: str


def describe(timeline: Timeline) -> str:
    """One line for each event: its time in simulated seconds, whether the indicator is visible then, what happened.

    `[...]` is a visible indicator, `[   ]` none.
    """
    rows = sorted(_rows(timeline))
    width = max(len(f"{row.time:.1f}") for row in rows)
    lines = (f"  {row.time:{width}.1f} s  {_screen(timeline, row.time)}  {row.text}" for row in rows)
    return "\n".join((_title(timeline), *lines))


def _title(timeline: Timeline) -> str:
    kind = f"{timeline.service} group" if timeline.is_group else timeline.service
    return f"Chat {timeline.chat_id} ({kind}):"


def _rows(timeline: Timeline) -> Iterator[_Row]:
    for request in timeline.requests:
        yield _Row(_time_of(request), request.id, _request(request))
    for message in timeline.messages:
        yield from _message(message, timeline.now)
    for time in timeline.reopened:
        yield _Row(time, 0, "the person re-opens the chat")
    for showing in timeline.showings:
        if showing.until is not None and showing.ended_by == "expired":
            yield _Row(showing.until, 0, f"Linq takes the indicator down: {_ghost_mark(showing, timeline)}")
    yield _Row(timeline.now, len(timeline.requests) + 1, _end(timeline))


def _time_of(request: Request) -> float:
    return request.received_at if request.effect_at is None else request.effect_at


def _request(request: Request) -> str:
    waited = _time_of(request) - request.received_at
    late = f"asked {waited:.1f} s before" if waited >= _DELAYED else ""
    words = ", ".join(filter(None, (EFFECTS[request.change], request.note, late)))
    return f"#{request.id:<3} {request.endpoint:<5}  {_answer(request):<9}  {words}"


def _answer(request: Request) -> str:
    if request.outcome == "answered":
        return str(request.status)
    return {"pending": "in flight", "dropped": "no answer", "abandoned": "given up"}[request.outcome]


def _message(message: Message, now: float) -> Iterator[_Row]:
    if message.from_person:
        yield _Row(message.accepted_at, 0, f"the person writes: {_short(message.text)}")
    elif message.has_landed(now):
        whose = "a colleague's" if message.from_colleague else "the"
        yield _Row(message.lands_at, 0, f"{whose} message arrives: {_short(message.text)}")
    elif message.lands_at <= now:
        yield _Row(message.lands_at, 0, f"the message fails: {_short(message.text)}")


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")


def _ghost_mark(showing: Showing, timeline: Timeline) -> str:
    return "a GHOST until then" if showing is timeline.ghost else "no refresh came in time"


def _end(timeline: Timeline) -> str:
    if not timeline.visible:
        return "now: nothing shows"
    left = timeline.showings[-1].expires_at - timeline.now
    return f"now: still showing, for {left:.0f} s more: a GHOST unless a bot is working"


def _screen(timeline: Timeline, time: float) -> str:
    return _SEEN if timeline.visible_at(time) or (timeline.visible and time >= timeline.now) else _UNSEEN
