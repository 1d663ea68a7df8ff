"""`Sandbox`: a local Linq API as one object."""

from __future__ import annotations

from types import TracebackType

from linq_typing.sandbox._app import BASE_PATH, DEFAULT_API_KEY, create_app
from linq_typing.sandbox._background import BackgroundSender
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._feed import Feed
from linq_typing.sandbox._model import Model
from linq_typing.sandbox._page import Page
from linq_typing.sandbox._records import WebhookVersion
from linq_typing.sandbox._server import Server
from linq_typing.sandbox._settle import DEFAULT_SETTLE, Settle
from linq_typing.sandbox._simulation import Simulation
from linq_typing.sandbox._webhook_http import DEFAULT_SECRET
from linq_typing.sandbox._webhook_payloads import DEFAULT_VERSION
from linq_typing.sandbox._webhooks import Target

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""How to reach a server that listens on all addresses."""


class Sandbox(Simulation):
    """A local Linq Partner API v3 on a real socket, with recipients whose screens can be inspected.

        with Sandbox() as linq:
            chat = linq.chat()
            client = LinqAPIV3(api_key=linq.api_key, base_url=linq.base_url)
            client.chats.typing.start(chat)
            assert linq.visible(chat)

    At `url` it serves a page that shows everything live, with the chats on a phone.

    It serves from a daemon thread inside a `with` block, or between `start()` and `stop()`. Every method and property
    may be called from any thread, and what happened can still be read after `stop()`.

    Parameters:
        api_key: the API key to accept.
        host, port: where to listen; port 0: a free port, which `start()` after `stop()` uses again.
        time_scale: the simulation speed, in simulated seconds per real second (1: real time). It applies to the
            durations below and to the times in all records; not to the API's faults, since clients have time-outs of
            their own.
        shown_for: how long one start shows the indicator, in simulated seconds.
        active_for: how long after a chat's last message its indicator can be shown, in simulated seconds
            (`math.inf`: always).
        settle: how long after its acceptance a message is really sent, and clears the indicator, in simulated
            seconds; or an iterable with one such duration per message (1.0 once it is exhausted); or a function that
            returns one.
        seed: for the randomness of faults.
        webhook: the URL to which to post what happens to messages (`message.received`, `.sent`, `.delivered`,
            `.failed`, `.read`; those of polls likewise), as Linq does; or a function (see `set_webhook`); default: no
            webhooks.
        webhook_secret: signs webhooks (`whsec_...`); the bot must have the same one.
        webhook_version: of the payload: 2025-01-01 or 2026-02-03.
        keep: how many of the latest requests, and per chat of the latest messages and showings, to keep; None: all.
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
        settle: Settle = DEFAULT_SETTLE,
        seed: int = 0,
        webhook: Target | None = None,
        webhook_secret: str = DEFAULT_SECRET,
        webhook_version: WebhookVersion = DEFAULT_VERSION,
        keep: int | None = None,
    ) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"keep must be at least 1, or None for all, got {keep!r}")
        clock, faults = Clock(time_scale), Faults(seed)
        model = Model(clock=clock, shown_for=shown_for, active_for=active_for, settle=settle, keep=keep)
        webhooks = BackgroundSender(model, webhook, webhook_secret, webhook_version, faults=faults)
        super().__init__(clock, model, faults, webhooks)
        self._api_key = api_key
        self._host = host
        page = Page(self, Feed(clock, model, faults, webhooks, self.env), lambda: self.base_url)
        app = create_app(model, faults=faults, api_key=api_key, page=page)
        self._server = Server(app, host=host, port=port)

    def __repr__(self) -> str:
        state = self.base_url if self._server.running else "stopped"
        return f"<Sandbox {state}, {len(self._model.chats())} chats>"

    def start(self) -> Sandbox:
        """Start serving. Returns itself once connections are accepted. Idempotent."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close all connections and stop serving. Idempotent. Pending webhooks are dropped.

        Chats and timelines remain; `start()` serves them again on the same port.
        """
        self._server.stop()
        self._webhooks.drop_pending("the sandbox has stopped")

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The base URL for clients; `RuntimeError` before `start()` if the port is 0."""
        return f"{self.url.removesuffix('/')}{BASE_PATH}"

    @property
    def url(self) -> str:
        """The page's address; `RuntimeError` before `start()` if the port is 0."""
        if self._server.port == 0:
            raise RuntimeError("the sandbox has no port yet: enter it, or call start(), first")
        host = _LOOPBACK.get(self._host, self._host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._server.port}/"

    @property
    def api_key(self) -> str:
        """The API key that is accepted."""
        return self._api_key

    def env(self) -> dict[str, str]:
        """The environment variables that point the official SDK and `linq_typing` at this sandbox."""
        return {"LINQ_API_V3_API_KEY": self.api_key, "LINQ_API_V3_BASE_URL": self.base_url}
