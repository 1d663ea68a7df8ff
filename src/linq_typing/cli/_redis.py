"""What `linq-typing doctor` finds out about the server behind `redis=`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from linq_typing._settings import REDIS_URL_VARIABLE, Credentials
from linq_typing.cli._answers import Problem
from linq_typing.errors import ConfigurationError

if TYPE_CHECKING:
    import redis

OLDEST: Final = {"Redis": (6, 2), "Valkey": (7, 2)}
POLICY: Final = "noeviction"

_NO_PACKAGE: Final = Problem(
    "A Redis URL is set, but the package redis is not installed.", 'Run: pip install "linq-typing[redis]"'
)
_BAD_URL: Final = Problem(
    "The Redis URL can't be used.",
    "Write it like redis://user:password@host:6379/0, rediss://... or unix:///path. Percent-encode the password.",
)


class Finding(NamedTuple):
    """What there is to say of the server: in a line, for a script, and what is wrong."""

    text: str
    facts: Mapping[str, Any]
    problem: Problem | None = None


def shown_url(url: str) -> str:
    """The URL without user name and password, wherever they stand, and however malformed it is."""
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}" if separator else "***"


def look_at(url: str, credentials: Credentials) -> Finding:
    """Ask the server what it is, and who shares chats over it. Changes nothing there."""
    try:
        import redis

        from linq_typing.redis import CONNECT_TIMEOUT, runner_maker
    except ImportError:
        return Finding("not tried", {"answers": False}, _NO_PACKAGE)
    try:
        runner_maker(url)
        client = redis.Redis.from_url(url, socket_timeout=CONNECT_TIMEOUT, decode_responses=True)
    except (ConfigurationError, ValueError, TypeError):
        return Finding("not tried", {"answers": False}, _BAD_URL)
    try:
        with client:
            return _ask(client, url, credentials)
    except (redis.RedisError, OSError) as error:
        return _failed(str(error), _problem_of(error))


def _ask(client: redis.Redis, url: str, credentials: Credentials) -> Finding:
    from linq_typing.redis import key_prefix

    prefix = key_prefix(credentials.base_url or "", credentials.api_key or "")
    client.ping()
    facts = {**_identity(client), "processes": _processes(client, prefix)}
    error = asyncio.run(_run_a_script(url, prefix))
    if error is not None:
        return _failed(error, Problem("Redis does not run the library's scripts.", _ACCESS))
    number = facts["processes"]
    sharing = "1 process shares" if number == 1 else f"{number} processes share"
    if "version" not in facts:
        text = "answers (no permission for INFO: version and eviction policy are not known)"
        return Finding(f"{text}; {sharing} chats with this key", {"answers": True, **facts})
    text = f"{facts['server']} {facts['version']}, {facts['eviction_policy']}; {sharing} chats with this key"
    return Finding(text, {"answers": True, **facts}, _unsuitable(facts))


_ACCESS: Final = 'See the page "Many processes" for the commands and keys that it needs.'


def _identity(client: redis.Redis) -> dict[str, Any]:
    """What INFO says; nothing if it is not permitted, as some providers have it."""
    from redis.exceptions import NoPermissionError

    try:
        info: Any = {**client.info("server"), **client.info("memory")}
    except NoPermissionError:
        return {}
    valkey = info.get("valkey_version")
    return {
        "server": "Valkey" if valkey else "Redis",
        "version": str(valkey or info["redis_version"]),
        "eviction_policy": info.get("maxmemory_policy", "unknown"),
    }


def _processes(client: redis.Redis, prefix: str) -> int:
    """How many have sent a heartbeat of late. With commands that the library uses, too."""
    from linq_typing._core.member import SILENCE

    now: Any = client.time()
    since = now[0] * 1000 + now[1] // 1000 - round(SILENCE * 1000)
    living: Any = client.zrangebyscore(f"{prefix}:members", since, "+inf")
    return len(living)


async def _run_a_script(url: str, prefix: str) -> str | None:
    """Leave as a member that never joined, which changes nothing. Returns the error."""
    from linq_typing._core.member import Member
    from linq_typing._engine.sharing import ServerError
    from linq_typing.redis import RedisServer

    server, member = RedisServer(url), Member[Any](prefix, 0.0, lambda: secrets.token_hex(8))
    try:
        await server.connect()
        await server.run([member.heartbeat(leave=True)], heartbeat=True)
    except ServerError as error:
        return str(error)
    finally:
        await server.aclose()
    return None


def _failed(error: str, problem: Problem) -> Finding:
    return Finding(error, {"answers": False, "error": error}, problem)


def _problem_of(error: BaseException) -> Problem:
    from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

    if isinstance(error, NoPermissionError):
        return Problem("This Redis user may not do what the library needs.", _ACCESS)
    if isinstance(error, (AuthenticationError, AuthorizationError)) or "AUTH" in str(error).upper():
        return Problem(
            "Redis refuses the user name or the password.", f"Check them in --redis-url and {REDIS_URL_VARIABLE}."
        )
    return Problem(
        "Redis does not answer: each process shows indicators by itself, as without Redis.",
        f"Check that it is running, its address in --redis-url and {REDIS_URL_VARIABLE}, and the network.",
    )


def _unsuitable(facts: Mapping[str, Any]) -> Problem | None:
    """What makes the server unfit."""
    server, policy = facts["server"], facts["eviction_policy"]
    if tuple(int(part) for part in facts["version"].split(".")[:2] if part.isdigit()) < OLDEST[server]:
        needed = " or ".join(f"{name} {major}.{minor}" for name, (major, minor) in OLDEST.items())
        return Problem(f"{server} {facts['version']} is too old.", f"Use {needed}, or newer.")
    if policy not in (POLICY, "unknown"):
        return Problem(
            f"Redis evicts keys when its memory is full ({policy}): then a process is forgotten, and ghosts stay.",
            f"Set maxmemory-policy to {POLICY}, or use another Redis for this.",
        )
    return None
