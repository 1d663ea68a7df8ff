"""The module that speaks with the server, on real ones."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from linq_typing import TypingManager
from linq_typing._core.indicator import MessageInFlight
from linq_typing._core.member import MOST_CHATS, PATIENCE, Call, Member
from linq_typing._core.shared_indicator import Share, SharedIndicator
from linq_typing._engine.sharing import ServerError
from linq_typing.errors import ConfigurationError
from ports import reserved_port

from .servers import Server

redis = pytest.importorskip("redis", reason="redis is not installed")

import redis.asyncio as aioredis  # noqa: E402

from linq_typing.redis import RedisServer, key_prefix  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "many-processes.md"
KEYS = ("{t}:members", "{t}:held", "{t}:news")


class Chat(SharedIndicator):
    __slots__ = ("id", "share")


def join(member: str) -> Call:
    return Call("heartbeat", KEYS, (member, "join", "", 3000, 60_000, MOST_CHATS))


def exchange(member: str, chat: str, n: int = 1, since: Any = "") -> Call:
    args = (member, n, chat, since, "", 0, "", 7500, 10_500, 60_000, "", "", "", "", "", 0, 0, 0, 0, 0, 0)
    return Call("exchange", (f"{{t}}:chat:{chat}", *KEYS), args)


def on(source: Any, story: Callable[[RedisServer], Coroutine[Any, Any, None]]) -> None:
    """Run the story with a server that is connected, and close it."""

    async def run() -> None:
        server = RedisServer(source)
        try:
            await server.connect()
            await story(server)
        finally:
            await server.aclose()
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow."""
    monkeypatch.setattr("linq_typing.redis.PATIENCE", 20.0)
    monkeypatch.setattr("linq_typing.redis.CONNECT_TIMEOUT", 20.0)


@pytest.fixture
def port() -> Iterator[int]:
    """For a server that the test starts."""
    with reserved_port() as port:
        yield port


@pytest.fixture(autouse=True)
def _empty(shared_server: Server) -> None:
    with redis.Redis.from_url(shared_server.url) as client:
        client.flushall()


def sources(url: str, path: str) -> dict[str, Any]:
    return {
        "url": url,
        "client": redis.Redis(unix_socket_path=path, db=0, retry=None),
        "asyncio client": aioredis.Redis.from_url(url),
        "callable": lambda: aioredis.Redis.from_url(url, decode_responses=True),
        "callable, bytes": lambda: aioredis.Redis.from_url(url),
    }


@pytest.mark.parametrize("kind", list(sources("unix://x", "x")))
def test_whatever_redis_is_given(shared_server: Server, kind: str) -> None:
    """A URL, a client of either kind, or a callable; the replies are the same, as text."""
    source = sources(shared_server.url, shared_server.socket)[kind]

    async def story(server: RedisServer) -> None:
        (joined,) = await server.run([join("a")], heartbeat=True)
        assert joined[1:] == [1, 0, [], []]
        first, second = await server.run([exchange("a", "x", 1, 5), exchange("b", "x")])
        assert (first[0], first[2:6]) == ("no", [0, 0, 1, ""])
        assert second[0] == "unknown"

    on(source, story)


@pytest.fixture(scope="session")
def tls_server(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, str]]:
    """Server, port, and its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key"), str(folder / "certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]  # fmt: skip
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on the PATH")
    subprocess.run(command, check=True, capture_output=True)
    with reserved_port() as port:
        try:
            server = Server(executable, "--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key,
                            "--tls-auth-clients", "no", "--tls-ca-cert-file", certificate)  # fmt: skip
        except AssertionError:
            pytest.skip("this server has no TLS")
        yield server, port, certificate
        server.close()


def tls_sources(port: int, certificate: str) -> dict[str, Any]:
    options: Any = {"host": "localhost", "port": port, "ssl": True, "ssl_ca_certs": certificate}
    return {
        "url": f"rediss://localhost:{port}?ssl_ca_certs={certificate}",
        "client": redis.Redis(**options),
        "asyncio client": aioredis.Redis(**options),
    }


@pytest.mark.parametrize("kind", list(tls_sources(1, "x")))
def test_over_tls(tls_server: tuple[Server, int, str], kind: str) -> None:
    """A client of the other kind has settings that ours does not know."""
    _, port, certificate = tls_server
    on(tls_sources(port, certificate)[kind], _nothing)


@pytest.mark.parametrize("kind", ["url", "client", "asyncio client"])
def test_over_tcp(executable: str, port: int, kind: str) -> None:
    """As most do."""
    server = Server(executable, "--port", str(port))
    sources = {
        "url": f"redis://127.0.0.1:{port}/1",
        "client": redis.Redis(port=port, socket_keepalive=True),
        "asyncio client": aioredis.Redis(port=port, protocol=3),
    }
    try:
        on(sources[kind], _nothing)
    finally:
        server.close()


def test_the_users_client_is_never_used(shared_server: Server) -> None:
    """Its settings are copied; its pool stays empty."""
    client = aioredis.Redis.from_url(shared_server.url)

    async def story(server: RedisServer) -> None:
        await server.run([join("a")])

    on(client, story)
    assert client.connection_pool._available_connections == []  # type: ignore[attr-defined]
    assert not client.connection_pool._in_use_connections  # type: ignore[attr-defined]


@pytest.mark.parametrize("source", [7, object(), None])
def test_anything_else_is_a_type_error(source: Any) -> None:
    """That says what is possible."""
    with pytest.raises(TypeError, match="takes a URL, a redis-py client, or a callable"):
        RedisServer(source)


def test_a_bad_url_is_a_value_error() -> None:
    """Where the manager is made."""
    with pytest.raises(ValueError, match="scheme"):
        RedisServer("http://example.com")


def test_scripts_come_back(shared_server: Server) -> None:
    """After SCRIPT FLUSH, in the midst of a batch; each call is run once."""

    async def story(server: RedisServer) -> None:
        await server.run([join("a")])
        with redis.Redis.from_url(shared_server.url) as client:
            client.script_flush()
        replies = await server.run([exchange("a", chat) for chat in "xyz"])
        assert [reply[0] for reply in replies] == ["no"] * 3

    on(shared_server.url, story)


def test_a_batch_takes_few_scripts_and_its_replies_are_in_its_order(shared_server: Server) -> None:
    """Not one for each exchange, and none that keeps others from the server for long."""

    async def story(server: RedisServer) -> None:
        await server.run([join("a")], heartbeat=True)
        with redis.Redis.from_url(shared_server.url) as client:
            client.config_resetstat()
            wanted = [number % 3 == 0 for number in range(120)]
            batch = [exchange("a", f"c{number}", since=5 if wants else "") for number, wants in enumerate(wanted)]
            replies = await server.run(batch)
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
            assert [reply[4] == 1 for reply in replies] == wanted  # whether it is held
            held = {key.decode() for key in client.zrange(KEYS[1], 0, -1)}
            assert held == {f"a c{number}" for number in range(0, 120, 3)}

    on(shared_server.url, story)


@pytest.mark.parametrize("odd", ["a b", "a\tb\n", "\0", "\ud800", "é"])
def test_odd_message_ids(shared_server: Server, odd: str) -> None:
    """The server takes each for one id, and the same whoever tells it."""

    async def story(server: RedisServer) -> None:
        member: Member[Chat] = Member("{t}", 5.0, lambda: "a")
        (joined,) = await server.run([member.heartbeat()], heartbeat=True)
        member.heartbeat_answered(joined, 1.0, 1.0)
        chat = Chat(3.0)
        chat.id, chat.share = "c", Share(member)
        message = MessageInFlight(1.0, None)
        message.id = odd
        chat.send_began(message)
        chat.send_ended(message, 1.0, accepted=True)
        chat.webhook(f"{odd}, a colleague's", 1.0, "sent")
        chat.webhook(odd, 1.0, "delivered")
        for _ in range(2):
            member.review(chat, 1.0)
            batch = member.batch(1.0)
            member.answered(batch, await server.run([each.call for each in batch]), 1.0)
        with redis.Redis.from_url(shared_server.url, decode_responses=True) as client:
            colleagues, own = client.hget("{t}:chat:c", "ids").split()
        assert colleagues == f"{own},_a_colleague's"

    on(shared_server.url, story)


def test_a_server_that_is_not_there(server: Server) -> None:
    """Refused: at once. After it is back, the same object connects again."""

    async def story(redis_server: RedisServer) -> None:
        server.kill()
        with pytest.raises(ServerError):
            await redis_server.run([join("a")])
        with pytest.raises(ServerError):
            await redis_server.connect()
        with pytest.raises(ServerError, match="not connected"):
            await redis_server.run([join("a")])
        server.start()
        await redis_server.connect()
        assert (await redis_server.run([join("a")]))[0][1] == 1

    on(server.url, story)


def test_a_frozen_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs 0.25 s, once; afterwards a new connection is made, which nothing late can confuse."""

    async def story(redis_server: RedisServer) -> None:
        server.freeze()
        monkeypatch.setattr("linq_typing.redis.PATIENCE", PATIENCE)
        try:
            with pytest.raises(ServerError, match=r"no answer within 0\.25 s"):
                await redis_server.run([join("a")])
            with pytest.raises(ServerError, match="not connected"):
                await redis_server.run([join("a")], heartbeat=True)
        finally:
            server.thaw()
        monkeypatch.setattr("linq_typing.redis.PATIENCE", 20.0)
        await redis_server.connect()
        (reply,) = await redis_server.run([join("b")])
        assert reply[1] == 1

    on(server.url, story)


def test_a_loop_that_is_held_up_does_not_blame_the_server(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer came in time, but nobody looked."""

    async def story(server: RedisServer) -> None:
        await server.run([join("a")])
        monkeypatch.setattr("linq_typing.redis.PATIENCE", 1.0)
        asyncio.get_running_loop().call_later(0.0, time.sleep, 1.2)
        assert (await server.run([join("a")]))[0][1] == 1

    on(shared_server.url, story)


def test_a_busy_loop_does_not_blame_the_server(shared_server: Server) -> None:
    """An answer takes a few turns of the loop, each of which may take long."""

    async def answer(turns: int) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return "answer"

    async def story(server: RedisServer) -> None:
        loop = asyncio.get_running_loop()

        def keep_busy() -> None:
            time.sleep(0.06)
            loop.call_soon(keep_busy)

        keep_busy()
        assert await server._within(0.25, answer(17)) == "answer"

    on(shared_server.url, story)


@pytest.mark.parametrize("bad", [lambda: 1 / 0, lambda: None])
def test_a_callable_that_makes_no_client(bad: Any) -> None:
    """It is as if there was no server."""
    with pytest.raises(ServerError):
        on(bad, _nothing)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_no_or_a_wrong_password(executable: str, password: str) -> None:
    """It is told apart from a server that is down."""
    server = Server(executable, "--requirepass", "right")
    try:
        with pytest.raises(ServerError) as caught:
            on(f"unix://:{password}@{server.socket}" if password else server.url, _nothing)
        assert caught.value.denied
        on(f"unix://:right@{server.socket}", _nothing)
    finally:
        server.close()


def test_no_permission(executable: str) -> None:
    """A user that may not run scripts."""
    server = Server(executable, "--user", *["bot", "on", ">secret", "~*", "+ping"])
    try:
        with pytest.raises(ServerError) as caught:
            on(f"unix://bot:secret@{server.socket}", _nothing)
        assert caught.value.denied
        assert "NoPermissionError" in str(caught.value)
    finally:
        server.close()


def test_no_permission_for_what_a_script_does(executable: str) -> None:
    """The server runs the script, and stops it half-way."""
    server = Server(executable, "--user", *["bot", "on", ">secret", "~*", "+@all", "-hset"])

    async def story(redis_server: RedisServer) -> None:
        await redis_server.run([join("a")])
        await redis_server.run([exchange("a", "x")])

    try:
        with pytest.raises(ServerError) as caught:
            on(f"unix://bot:secret@{server.socket}", story)
        assert caught.value.denied
    finally:
        server.close()


@pytest.mark.slow
def test_a_cluster_through_a_callable(executable: str, port: int) -> None:
    """All keys lie in one slot. Its client needs all the rights that the page names."""
    rights = re.findall(r"[~+][a-z|{][^\s`]+", PAGE.read_text(encoding="utf-8").partition("## Security")[2])
    with reserved_port() as bus:
        options = ["--cluster-port", str(bus), "--cluster-enabled", "yes", "--bind", "127.0.0.1"]
        server = Server(executable, "--port", str(port), *options)
    try:
        with redis.Redis(port=port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                time.sleep(0.01)
            client.execute_command("ACL", "SETUSER", "bot", "on", ">secret", "~{t}:*", *rights)

        async def story(redis_server: RedisServer) -> None:
            await redis_server.run([join("a")], heartbeat=True)
            replies = await redis_server.run([exchange("a", chat) for chat in "xyz"])
            assert [reply[0] for reply in replies] == ["no"] * 3

        on(lambda: aioredis.RedisCluster("127.0.0.1", port, username="bot", password="secret"), story)
    finally:
        server.close()


def test_the_prefix_tells_keys_apart() -> None:
    """And has a hash tag, so that all keys lie in one slot."""
    prefixes = {key_prefix(base, key) for base in ("https://a", "https://b") for key in ("1", "2")}
    assert len(prefixes) == 4
    assert all(prefix.startswith("{linq-typing:1:") and prefix.endswith("}") for prefix in prefixes)
    assert "secret" not in key_prefix("https://a", "secret")


async def _nothing(server: RedisServer) -> None:
    await server.run([join("a")])


@pytest.mark.parametrize("url", ["redis://:se/cret@host", "http://:se@host", "redis://:se@host:99999"])
def test_a_url_that_can_not_be_used_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the Redis URL can't be used") as raised:
        TypingManager(api_key="key", redis=url)
    assert "'se'" not in str(raised.value)
    assert raised.value.__cause__ is None
