"""Matches webhooks with the messages that this process has sent. Pure: every input carries its time.

Linq delivers each webhook at least once, in any order, up to half an hour late, and does not say who sent a message. So
this remembers the webhooks that have arrived, and this process's messages, most of them by Linq's id from the answer.
Messages that were streamed or marked as sent have no known id: each is given the next unknown id in its chat.

A webhook may arrive before the answer to the message that it is about. So one about an unknown message is held: for a
second, and as long as a message of this process is in flight in that chat. Only then is it taken for someone else's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from .indicator import MessageInFlight

V = TypeVar("V")

Kind = Literal["sent", "delivered", "failed", "read"]

KNOWN_FOR: Final = 60.0  #: seconds after its acceptance in which webhooks may report on a message
REMEMBERED_FOR: Final = 300.0  #: seconds for which webhooks and messages are remembered, to ignore repeats
HELD_FOR: Final = 1.0  #: seconds for which a webhook about an unknown message is held
SHOWN_AGAIN_EVERY: Final = 60.0  #: seconds; the indicator is shown again at most this often after a chat is opened
MOST: Final = 20_000  #: how many entries of each kind are remembered


class Observation(NamedTuple):
    """What one webhook says about a message from the line."""

    kind: Kind
    chat_id: str  #: empty: it does not say
    message_id: str
    event_id: str  #: empty: it has none
    age: float  #: seconds since it was created, by the clocks of two machines


class News(NamedTuple):
    """What an observation means."""

    kind: Kind
    chat_id: str
    message: MessageInFlight | None  #: None: someone else's
    at: float  #: when it happened, as far as is known
    message_id: str = ""  #: of someone else's message


class Recent(Generic[V]):
    """The values put in within the last ``seconds``, and at most the ``MOST`` latest ones."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, key: str, value: V, now: float) -> None:
        self._values[key] = (now + self._seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > MOST or next(iter(self._values.values()))[0] <= now:
            self._values.popitem(last=False)

    def get(self, key: str, now: float) -> V | None:
        until, value = self._values.get(key, (-inf, None))
        return value if now < until else None


class _Known(NamedTuple):
    """A message whose id is known."""

    chat_id: str
    message: MessageInFlight | None  # None: further webhooks about it are ignored


class _Held(NamedTuple):
    """A webhook about a message that is not known yet."""

    observation: Observation
    at: float
    until: float


class Observations:
    """The webhooks that one manager observes, and the messages that it sent."""

    def __init__(self) -> None:
        self._heard: Recent[bool] = Recent(REMEMBERED_FOR)
        self._known: Recent[_Known] = Recent(REMEMBERED_FOR)
        self._nameless: Recent[list[tuple[float, MessageInFlight]]] = Recent(KNOWN_FOR)  # no known id; by chat
        self._shown_again: Recent[bool] = Recent(SHOWN_AGAIN_EVERY)
        self._held: deque[_Held] = deque(maxlen=MOST)

    @property
    def next_at(self) -> float:
        """When to call :meth:`release` next."""
        return self._held[0].until if self._held else inf

    def sent(self, chat_id: str, message: MessageInFlight, now: float) -> list[News]:
        """A message of this process was accepted. Returns what earlier webhooks said about it."""
        if message.id:
            self._known.put(message.id, _Known(chat_id, message), now)
        else:
            others = self._nameless.get(chat_id, now) or []
            recent = [(at, other) for at, other in others if now < at + KNOWN_FOR]
            self._nameless.put(chat_id, [*recent, (now, message)], now)
        held, self._held = self._held, deque(maxlen=MOST)
        news = []
        for each in held:
            if self._knows(each.observation, now):
                news.extend(self._tell(each.observation, each.at, now))
            else:
                self._held.append(each)
        return news

    def observe(self, observation: Observation, at: float) -> list[News]:
        """A webhook has arrived. Returns what is new."""
        if observation.event_id:
            if self._heard.get(observation.event_id, at):
                return []
            self._heard.put(observation.event_id, True, at)
        if observation.kind == "read":
            again = not self._shown_again.get(observation.chat_id, at)
            return [News("read", observation.chat_id, None, at)] if again else []
        if self._knows(observation, at):
            return self._tell(observation, at, at)
        self._held.append(_Held(observation, at, at + HELD_FOR))
        return []

    def release(self, now: float, is_sending: Callable[[str], bool]) -> Iterator[News]:
        """Release the webhooks that were held long enough: they are about someone else's messages."""
        while self._held and self._held[0].until <= now:
            observation, at, _ = held = self._held.popleft()
            if self._knows(observation, now):  # two webhooks about one message
                yield from self._tell(observation, at, now)
            elif is_sending(observation.chat_id) and now < at + KNOWN_FOR:
                self._held.append(held._replace(until=now + HELD_FOR))
            else:
                self._known.put(observation.message_id, _Known(observation.chat_id, None), now)
                yield News(observation.kind, observation.chat_id, None, at - observation.age, observation.message_id)

    def shown_again(self, chat_id: str, now: float) -> None:
        """The indicator was shown again after the chat was opened: for some time, further openings are ignored."""
        self._shown_again.put(chat_id, True, now)

    def _knows(self, observation: Observation, now: float) -> bool:
        """Whether it is about a known message, or can be matched with one of this process's without an id."""
        if self._known.get(observation.message_id, now):
            return True
        nameless = self._nameless.get(observation.chat_id, now) or []
        while nameless:
            accepted_at, message = nameless.pop(0)
            if now < accepted_at + KNOWN_FOR:
                self._known.put(observation.message_id, _Known(observation.chat_id, message), now)
                return True
        return False

    def _tell(self, observation: Observation, at: float, now: float) -> list[News]:
        known = self._known.get(observation.message_id, now)
        if known is None or known.message is None:
            return []
        if observation.kind == "delivered":  # it may be reported again, minutes later, under another event id
            self._known.put(observation.message_id, _Known(known.chat_id, None), now)
        return [News(observation.kind, known.chat_id, known.message, at - observation.age)]
