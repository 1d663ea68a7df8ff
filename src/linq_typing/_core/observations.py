"""What webhooks tell, matched with the messages that this process has sent. Pure: every input brings its time.

Linq delivers each webhook at least once, in any order, up to half an hour late, and does not say who sent a message. So
this knows the webhooks that it has heard, and the own messages: most by Linq's id, which their answers told; those that
were streamed or marked as sent by number: for each, the next id that is unknown in its chat is taken for its own.

A webhook may come before the answer of the own message that it is about. So one about an unknown message waits: for a
second, and as long as an own message of that chat is in flight. Only then it is taken for somebody else's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from .indicator import MessageInFlight

V = TypeVar("V")

Kind = Literal["sent", "delivered", "failed", "read"]

KNOWN_FOR: Final = 60.0  #: seconds after its acceptance in which webhooks may tell of a message
REMEMBERED_FOR: Final = 300.0  #: seconds for which webhooks and messages are remembered, to hear of each only once
HELD_FOR: Final = 1.0  #: seconds for which a webhook about an unknown message waits
SHOWN_AGAIN_EVERY: Final = 60.0  #: seconds between two times that opening a chat makes a difference
MOST: Final = 20_000  #: things that are remembered of each kind


class Observation(NamedTuple):
    """What one webhook tells of a message from the line."""

    kind: Kind
    chat_id: str  #: empty: it does not say
    message_id: str
    event_id: str  #: empty: it has none
    age: float  #: seconds since it was created, by the clocks of two machines


class News(NamedTuple):
    """What an observation means."""

    kind: Kind
    chat_id: str
    message: MessageInFlight | None  #: None: somebody else's
    at: float  #: when it happened, as far as is known
    message_id: str = ""  #: of somebody else's


class Recent(Generic[V]):
    """The values that were put in some time ago at most; of too many, the latest."""

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
    message: MessageInFlight | None  # None: nothing more is to be heard of it


class _Held(NamedTuple):
    """A webhook about a message that is not known yet."""

    observation: Observation
    at: float
    until: float


class Observations:
    """The webhooks of one manager, and its own messages."""

    def __init__(self) -> None:
        self._heard: Recent[bool] = Recent(REMEMBERED_FOR)
        self._known: Recent[_Known] = Recent(REMEMBERED_FOR)
        self._nameless: Recent[list[tuple[float, MessageInFlight]]] = Recent(KNOWN_FOR)  # own ones, by chat
        self._shown_again: Recent[bool] = Recent(SHOWN_AGAIN_EVERY)
        self._held: deque[_Held] = deque(maxlen=MOST)

    @property
    def next_at(self) -> float:
        """When to call :meth:`release` next."""
        return self._held[0].until if self._held else inf

    def sent(self, chat_id: str, message: MessageInFlight, now: float) -> list[News]:
        """An own message was accepted. Returns what webhooks have told of it before."""
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

    def hear(self, observation: Observation, at: float) -> list[News]:
        """A webhook has come. Returns what is new."""
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
        """What has waited long enough was about somebody else's messages."""
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
        """Opening the chat has made a difference: for some time it makes none."""
        self._shown_again.put(chat_id, True, now)

    def _knows(self, observation: Observation, now: float) -> bool:
        """Whether it is about a message that is known, or may be taken for an own one without an id."""
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
        if observation.kind == "delivered":  # it may be told again, minutes later, under another event id
            self._known.put(observation.message_id, _Known(known.chat_id, None), now)
        return [News(observation.kind, known.chat_id, known.message, at - observation.age)]
