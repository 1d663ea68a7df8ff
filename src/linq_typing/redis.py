"""Redis, or Valkey: runs the scripts by which the processes of a bot share their chats. Needs ``linq-typing[redis]``.

Two connections, for the library's own loop thread only: heartbeats do not queue behind thousands of chats. After any
error both are dropped and made anew: what was half sent or half read on one can do no harm, and a failover is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any, Final

import redis
import redis.asyncio as aioredis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, NoScriptError, ResponseError

from ._core.member import PATIENCE, Call, Member
from ._engine.http import TypingAPI
from ._engine.shared_runner import SharedChat, SharedRunner
from ._engine.sharing import ServerError, wait_patiently
from .errors import ConfigurationError

#: What ``redis=`` may be: a URL, a client whose settings are copied, or what makes an asyncio client on our loop.
Source = str | redis.Redis | aioredis.Redis | Callable[[], Any]

CONNECT_TIMEOUT: Final = 1.0  #: seconds

SCRIPTS: Final = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).with_name("lua").glob("*.lua")}
#: Many exchanges go out as one argument and come back as one text: redis-py takes long for each command and value.
_EXCHANGES: Final = """local chats, replies = {unpack(KEYS, 4)}, {}
local function exchange(KEYS, ARGV)
%s
end
for i, args in ipairs(cjson.decode(ARGV[1])) do
  replies[i] = exchange({chats[i], KEYS[1], KEYS[2], KEYS[3]}, args)
end
return cjson.encode(replies)
"""
_MOST_TOGETHER: Final = 50  #: exchanges in one run of the script: the server does nothing else meanwhile
_SENT: Final = {**SCRIPTS, "exchange": _EXCHANGES % SCRIPTS["exchange"]}
_HASHES: Final = {name: hashlib.sha1(text.encode()).hexdigest() for name, text in _SENT.items()}
_DENIED: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_DENIED_IN_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")  # the latter: Redis < 7.2
_CONNECTIONS: Final = {kind.__name__: kind for kind in (Connection, SSLConnection, UnixDomainSocketConnection)}
#: What is copied of a client's settings. Time-outs and retries are ours; some settings only sync connections have.
_COPIED: Final = {"host", "port", "path", "db", "username", "password", "credential_provider", "client_name",
                  "socket_keepalive", "socket_keepalive_options", "socket_type",
                  *(name for name in signature(SSLConnection).parameters if name.startswith("ssl_"))}  # fmt: skip


def key_prefix(base_url: str, api_key: str) -> str:
    """The prefix of all keys. Only processes with the same API key can stop each other's indicators. One hash slot."""
    digest = hashlib.sha256(f"{base_url}\n{api_key}".encode()).hexdigest()[:8]
    return f"{{linq-typing:1:{digest}}}"


class RedisServer:
    """The server behind ``redis=``. Made anywhere, used on the loop's thread only."""

    def __init__(self, source: Source) -> None:
        self._make = _maker(source)
        self._clients: tuple[Any, ...] = ()  # for chats, for heartbeats
        self._closing: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Connect, if it is not connected. Raises ServerError."""
        if self._clients:
            return
        clients: list[Any] = []
        try:
            await self._within(CONNECT_TIMEOUT, self._open(clients))
        except BaseException:
            self._drop(clients)
            raise
        self._clients = tuple(clients)

    async def _open(self, clients: list[Any]) -> None:
        clients += [self._make(), self._make()]
        await _load(clients[0])
        await clients[1].ping()

    async def run(self, calls: Sequence[Call], *, heartbeat: bool = False) -> list[Any]:
        """Run the calls in one pipeline. Raises ServerError if there is an error, or no answer in time."""
        if not self._clients:
            raise ServerError("not connected")
        clients = self._clients
        try:
            replies: list[Any] = await self._within(PATIENCE, _execute(clients[heartbeat], calls))
            return replies
        except BaseException:
            if self._clients is clients:
                self._clients = ()
            self._drop(clients)
            raise

    async def aclose(self) -> None:
        """Drop the connections."""
        clients, self._clients = self._clients, ()
        self._drop(clients)
        if self._closing:
            await asyncio.wait(self._closing, timeout=PATIENCE)

    async def _within(self, seconds: float, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        try:
            await wait_patiently(task, seconds)
            if not task.done():
                raise ServerError(f"no answer within {seconds:g} s")
            return task.result()
        except ServerError:
            raise
        except Exception as error:  # a client that somebody else made may raise anything
            raise ServerError(f"{type(error).__name__}: {error}"[:200], denied=_is_denied(error)) from error
        finally:
            task.cancel()

    def _drop(self, clients: Sequence[Any]) -> None:
        for client in clients:
            task = asyncio.ensure_future(_close(client))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _is_denied(error: BaseException | None) -> bool:
    """Whether the server knows us, and does not want us. Where connecting failed, that is only the cause."""
    if error is None:
        return False
    in_script = isinstance(error, ResponseError) and any(text in str(error) for text in _DENIED_IN_SCRIPT)
    return isinstance(error, _DENIED) or in_script or _is_denied(error.__cause__ or error.__context__)


async def _execute(client: Any, calls: Sequence[Call]) -> list[Any]:
    if calls[0].script != "exchange":
        return await _run(client, calls)
    together = [_together(calls[first : first + _MOST_TOGETHER]) for first in range(0, len(calls), _MOST_TOGETHER)]
    replies = await _run(client, together)
    return list(chain.from_iterable(map(json.loads, replies)))


def _together(exchanges: Sequence[Call]) -> Call:
    _, *others = exchanges[0].keys
    chats = [call.keys[0] for call in exchanges]
    return Call("exchange", (*others, *chats), [json.dumps([[str(arg) for arg in call.args] for call in exchanges])])


async def _run(client: Any, calls: Sequence[Call]) -> list[Any]:
    replies = await _pipeline(client, calls)
    missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:  # SCRIPT FLUSH, or a failover
        await _load(client)
        for index, reply in zip(missing, await _pipeline(client, [calls[index] for index in missing]), strict=True):
            replies[index] = reply
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def _load(client: Any) -> None:
    for text in _SENT.values():
        await client.script_load(text)


async def _pipeline(client: Any, calls: Sequence[Call]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipeline:
        for script, keys, args in calls:
            pipeline.execute_command("EVALSHA", _HASHES[script], len(keys), *keys, *args)
        return [_text(reply) for reply in await pipeline.execute(raise_on_error=False)]


def _text(reply: Any) -> Any:
    """Bytes as text: a client that somebody else made need not decode."""
    if isinstance(reply, list):
        return [_text(each) for each in reply]
    return reply.decode() if isinstance(reply, bytes) else reply


async def _close(client: Any) -> None:
    with contextlib.suppress(Exception):
        await client.aclose()


def _maker(source: Source) -> Callable[[], Any]:
    """What makes a client. Settings are checked here, where the user sees the error."""
    if callable(source):
        return source
    if isinstance(source, str):
        settings: dict[str, Any] = dict(parse_url(source))
        kind = settings.pop("connection_class", Connection).__name__
    elif isinstance(source, (redis.Redis, aioredis.Redis)):
        pool = source.connection_pool
        kind, settings = pool.connection_class.__name__, dict(pool.connection_kwargs)
    else:
        kind, settings = "", {}
    if kind not in _CONNECTIONS:
        raise TypeError(
            f"redis= takes a URL, a redis-py client, or a callable that makes an asyncio client (for a cluster or "
            f"sentinels), not {type(source).__name__}"
        )
    copied = {name: value for name, value in settings.items() if name in _COPIED}
    ours: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": CONNECT_TIMEOUT,
        "protocol": 2,
        "decode_responses": True,
    }

    def make() -> aioredis.Redis:
        pool: Any = aioredis.ConnectionPool(connection_class=_CONNECTIONS[kind], max_connections=1, **copied, **ours)
        return aioredis.Redis.from_pool(pool)

    return make


def runner_maker(source: Source) -> Callable[..., SharedRunner]:
    """What makes the runner of a manager with ``redis=source``.

    Raises ConfigurationError for a URL that can't be used, TypeError for a source of another type.
    """
    try:
        RedisServer(source)
    except ValueError:  # its text may quote a part of the password
        raise ConfigurationError(
            "the Redis URL can't be used: it must be like redis://user:password@host:6379/0, rediss://... or "
            "unix:///path, with special characters of the password percent-encoded"
        ) from None

    def make(now: Callable[[], float], api: TypingAPI, **options: Any) -> SharedRunner:
        prefix = key_prefix(api.credentials.base_url or "", api.credentials.api_key or "")
        member: Member[SharedChat] = Member(prefix, api.timeout, lambda: secrets.token_hex(8))
        return SharedRunner(now, api, server=RedisServer(source), member=member, **options)

    return make
