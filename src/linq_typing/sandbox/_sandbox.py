"""`Sandbox`: the local Linq API as one object, for tests, demos and the curious."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from linq_typing.sandbox._app import BASE_PATH, DEFAULT_API_KEY, create_app
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._errors import ApiError
from linq_typing.sandbox._faults import Answer, Delay, Faults, Loss, Slowness, Standing
from linq_typing.sandbox._feed import Feed
from linq_typing.sandbox._model import Chat, Model, Settle
from linq_typing.sandbox._page import Page
from linq_typing.sandbox._server import Server
from linq_typing.sandbox._timeline import Message, Request, Service, Timeline
from linq_typing.sandbox._webhooks import DEFAULT_SECRET, DEFAULT_VERSION, Courier, WebhookVersion

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where what listens everywhere is reached from here."""


class Sandbox:
    """A local Linq Partner API v3 on a real socket, with recipients whose screens can be looked at.

        with Sandbox() as linq:
            chat = linq.chat()
            client = LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url)
            client.chats.typing.start(chat)
            assert linq.visible(chat)

    At `url` it serves a page that shows all of it, live, as a phone.

    It serves on a daemon thread between entering and leaving, or `start()` and `stop()`. Every method and
    property may be called from any thread, and what happened can still be read after `stop()`.

    Parameters:
        api_key: the key that is let in.
        host, port: where to listen; port 0: a free one, kept over `stop()` and `start()`.
        time_scale: the simulation speed, in modelled seconds per real second (1: real time). It applies to the
            figures below and to every time that is read; not to faults (see `fail`), which meet the client's own
            time-outs.
        shown_for: how long one start shows the indicator, in modelled seconds.
        active_for: how long after a chat's last message its indicator can be shown, in modelled seconds
            (`math.inf`: always).
        settle: how long after its acceptance a message is really sent, and clears the indicator, in modelled
            seconds; or an iterable of those, one for each message (1.0 once it is used up); or a function
            that returns one.
        seed: of the randomness in faults.
        webhook: where to post what the person does (`message.received`, `message.read`), as Linq does; default:
            nowhere.
        webhook_secret: signs it (`whsec_...`); the bot has to know the same.
        webhook_version: of the payload: 2025-01-01 or 2026-02-03.
        keep: how many requests, and for each chat how many messages and showings, to remember, the latest ones;
            None: all.
    """

    def __init__(
        self,
        *,
        api_key: str = DEFAULT_API_KEY,
        host: str = "127.0.0.1",
        port: int = 0,
        time_scale: float = 1.0,
        shown_for: float = 85.0,
        active_for: float = 300.0,
        settle: Settle = 1.0,
        seed: int = 0,
        webhook: str | None = None,
        webhook_secret: str = DEFAULT_SECRET,
        webhook_version: WebhookVersion = DEFAULT_VERSION,
        keep: int | None = None,
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, or None for all, got {keep!r}")
        self._clock = Clock(time_scale)
        self._model = Model(clock=self._clock, shown_for=shown_for, active_for=active_for, settle=settle, keep=keep)
        self._courier = Courier(self._model, webhook, webhook_secret, webhook_version)
        self._faults = Faults(seed)
        self._api_key = api_key
        self._host = host
        page = Page(self, Feed(self, self._model, self._courier))
        app = create_app(self._model, faults=self._faults, api_key=api_key, page=page)
        self._server = Server(app, host=host, port=port)

    def __repr__(self) -> str:
        state = self.base_url if self._server.running else "stopped"
        return f"<Sandbox {state}, {len(self._model.chats())} chats>"

    # Serving

    def start(self) -> Sandbox:
        """Serve; returns, once connections are accepted, itself. Nothing when it is serving already."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Cut every connection and stop serving: clients are refused. Nothing when it is not serving.

        Chats and timelines stay; `start()` goes on at the same port.
        """
        self._server.stop()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """What to give a client as its base URL; `RuntimeError` while there is no port, before `start()`."""
        return f"{self.url.removesuffix('/')}{BASE_PATH}"

    @property
    def url(self) -> str:
        """The page's address; `RuntimeError` while there is no port, before `start()`."""
        if self._server.port == 0:
            raise RuntimeError("the sandbox has no port yet: enter it, or call start(), first")
        host = _LOOPBACK.get(self._host, self._host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._server.port}/"

    @property
    def api_key(self) -> str:
        """The key that is let in."""
        return self._api_key

    def env(self) -> dict[str, str]:
        """The environment variables that point the official SDK, and `linq_typing`, at this sandbox."""
        return {"LINQ_API_V3_API_KEY": self.api_key, "LINQ_API_V3_BASE_URL": self.base_url}

    @property
    def webhook(self) -> str | None:
        """Where webhooks go; None: nowhere."""
        return self._courier.url

    @property
    def webhook_secret(self) -> str:
        """What signs them."""
        return self._courier.secret

    # Time

    @property
    def now(self) -> float:
        """Modelled seconds since the sandbox was made: the time of every record."""
        return self._clock()

    @property
    def time_scale(self) -> float:
        """The simulation speed: 1 is real time. It may be set at any time; the sandbox's clock does not jump."""
        return self._clock.scale

    @time_scale.setter
    def time_scale(self, scale: float) -> None:
        self._clock.scale = scale

    # Chats and people

    def chat(self, to: str | None = None, *, active: bool = True) -> str:
        """Make an iMessage chat with one person.

        Parameters:
            to: the person's number or address; default: one nobody has.
            active: as if the person had just written; without that, and before the first message, starts are
                accepted and show nothing.

        Returns:
            The chat's id.
        """
        return self._add_chat([to] if to else [], active=active)

    def sms(self, to: str | None = None, *, service: Service = "SMS", active: bool = True) -> str:
        """Make an SMS or RCS chat: it accepts typing requests and shows nothing. Parameters as in `chat`."""
        return self._add_chat([to] if to else [], service=service, active=active)

    def group(self, to: Sequence[str] = (), *, typing_allowed: bool = True, active: bool = True) -> str:
        """Make a group chat.

        Parameters:
            to: the people in it; default: two nobody has.
            typing_allowed: False: typing requests are refused, as older deployments do (403, code 2005).
            active: as in `chat`.

        Returns:
            The chat's id.
        """
        return self._add_chat(to, group=True, typing_allowed=typing_allowed, active=active)

    def write(self, chat: str, text: str = "Hello?") -> Message:
        """The person writes: the chat is active again; the indicator stays as it is."""
        found = self._chat(chat)
        message = self._model.write(found, text)
        self._courier.received(found, message)
        return message

    def reopen(self, chat: str) -> None:
        """The person brings the chat to the front: a showing indicator drops, and the bot's messages are read.

        Then a start alone does not bring it back, before a stop or a message has come.
        """
        found = self._chat(chat)
        message = self._model.reopen(found)
        if message is not None:
            self._courier.read(found, message)

    def change(
        self,
        chat: str,
        *,
        service: Service | None = None,
        group: bool | None = None,
        typing_allowed: bool | None = None,
    ) -> None:
        """It becomes another kind of chat. What is None stays.

        Parameters:
            group: True: a group; a second person joins if there is only one.
            typing_allowed: False: typing requests are refused, as older deployments do for groups.
        """
        self._model.change(self._chat(chat), service=service, group=group, typing_allowed=typing_allowed)

    def set_webhook(self, url: str | None, *, secret: str | None = None, version: str | None = None) -> None:
        """Where webhooks go from now on (None: nowhere); a secret or version that is None stays."""
        self._courier.address(url, secret, version)

    # What can be seen

    def visible(self, chat: str) -> bool:
        """Whether the person sees the indicator now."""
        return self._model.visible(self._chat(chat))

    def ghosts(self) -> tuple[str, ...]:
        """The chats whose indicator is showing now: with nobody at work, ghosts."""
        return self._model.showing()

    def timeline(self, chat: str) -> Timeline:
        """All that happened in this chat so far: requests, messages, and when the indicator was visible."""
        return self._model.timeline(self._chat(chat))

    def messages(self, chat: str) -> tuple[Message, ...]:
        """The chat's messages, in the order of their acceptance."""
        return self.timeline(chat).messages

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of arrival; those that were refused, or name no chat, too."""
        return self._model.log.all()

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> bool:
        """Wait, at most `timeout` real seconds, until `predicate()` is true. Returns whether it came true."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if time.monotonic() >= deadline:
                return bool(predicate())
            time.sleep(0.002)
        return True

    # What goes wrong

    def fail(
        self,
        endpoint: str = "start",
        status: int = 500,
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
        *,
        code: int | None = None,
        message: str | None = None,
        retry_after: float | str | None = None,
        body: bytes | None = None,
        effect: bool | None = None,
        effect_after: float = 0.0,
    ) -> None:
        """Answer with this status instead of the right one.

        Of several `fail` and `lose` that cover a request, the one that was set first happens, until its
        `times` are used up; a `slow` happens besides. All are for requests that would have been let in: a
        wrong key and an unknown chat are refused first, and use nothing up.

        Parameters:
            endpoint: `start`, `stop`, `typing` (both), `send` (all six), `react`, `read`, `get` or `*`.
            status: from 200 to 599.
            times: used up after so many requests; default: it stays until `clear_faults()`.
            rate: the probability with which a request meets it.
            chat: only for that chat; default: for all.
            code: Linq's error code; default: the usual one for that status (409: 2009, try again).
            message: the error's text; default: the usual one for that code.
            retry_after: real seconds, in header and body, or an HTTP date, in the header; default: none.
            body: sent as it is, instead of Linq's JSON.
            effect: whether the request takes effect all the same; default: only when the status is below 400.
            effect_after: real seconds by which that effect comes later, after the answer perhaps.
        """
        takes_effect = status < 400 if effect is None else effect
        fault = Answer(status, code, message, retry_after, body, takes_effect, effect_after)
        self._set(fault, endpoint, times, rate, chat)

    def slow(
        self,
        endpoint: str = "typing",
        before: Delay = 0.0,
        after: Delay = 0.0,
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
    ) -> None:
        """Take long. Whether or not the client still waits, the request takes effect.

        Parameters:
            before: real seconds from the arrival to the effect; a pair: at random between the two.
            after: real seconds from the effect to the answer; likewise.
            endpoint, times, rate, chat: as in `fail`.
        """
        self._set(Slowness(before, after), endpoint, times, rate, chat)

    def lose(
        self,
        endpoint: str = "start",
        times: int | None = None,
        rate: float = 1.0,
        chat: str | None = None,
        *,
        hang: bool = False,
        effect: bool = True,
        effect_after: float = 0.0,
    ) -> None:
        """Lose the answer: the connection is closed without one.

        Parameters:
            hang: say nothing until the client gives up, instead.
            effect: whether the request takes effect.
            effect_after: real seconds by which that effect comes later, after the loss perhaps.
            endpoint, times, rate, chat: as in `fail`.
        """
        self._set(Loss(hang, effect, effect_after), endpoint, times, rate, chat)

    def faults(self) -> tuple[Standing, ...]:
        """What is set to go wrong, the first one first."""
        return self._faults.standing()

    def clear_faults(self, fault: int | None = None) -> None:
        """Nothing goes wrong any more. Requests that are under way keep their fate.

        Parameters:
            fault: the id of the one to take away; default: all.
        """
        if fault is None:
            self._faults.clear()
        else:
            self._faults.remove(fault)

    def _set(
        self,
        fault: Answer | Loss | Slowness,
        endpoint: str,
        times: int | None,
        rate: float,
        chat: str | None,
    ) -> None:
        chat_id = None if chat is None else self._chat(chat).id
        self._faults.add(fault, endpoint, chat=chat_id, times=times, rate=rate)

    def _add_chat(
        self,
        people: Sequence[str],
        *,
        active: bool,
        group: bool = False,
        service: Service = "iMessage",
        typing_allowed: bool = True,
    ) -> str:
        return self._model.add_chat(
            people, group=group, service=service, typing_allowed=typing_allowed, active=active
        ).id

    def _chat(self, chat_id: str) -> Chat:
        try:
            return self._model.chat(str(chat_id))
        except ApiError:
            raise LookupError(f"the sandbox has no chat {chat_id!r}: make one with chat()") from None
