"""`linq-typing doctor` and the Redis of `redis=`, on real servers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linq_typing import TypingManager
from linq_typing.cli._redis import _unsuitable, shown_url
from patience import PATIENCE
from sharing.servers import Server, executables

from .kit import Terminal

redis = pytest.importorskip("redis", reason="redis is not installed")

from linq_typing.redis import SCRIPTS, key_prefix  # noqa: E402

PASSWORD = "s3cret/p@ss"
QUOTED = "s3cret%2Fp%40ss"


@pytest.fixture(scope="module", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param not in executables():
        pytest.skip(f"no {request.param} server here")
    server = Server(executables()[request.param], "--maxmemory-policy", "noeviction")
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be slow."""
    monkeypatch.setattr("linq_typing.redis.PATIENCE", 20.0)
    monkeypatch.setattr("linq_typing._engine.sharing.PATIENCE", 20.0)
    monkeypatch.setattr("linq_typing.redis.CONNECT_TIMEOUT", 20.0)


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as client:
        yield client


def doctor(terminal: Terminal, url: str, *arguments: str) -> tuple[int, str]:
    done = terminal.main("doctor", *arguments, env={"LINQ_TYPING_REDIS_URL": url})
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_nothing_is_said_of_redis_where_none_is_set(terminal: Terminal) -> None:
    done = terminal.main("doctor")
    assert (done.returncode, "redis" in done.stdout) == (0, False)


def test_it_says_what_the_server_is_and_how_many_share(terminal: Terminal, server: Server) -> None:
    name = "Valkey" if "valkey" in server._command[0] else "Redis"
    status, said = doctor(terminal, server.url)
    assert status == 0
    assert f"redis    {server.url}, from LINQ_TYPING_REDIS_URL\n" in said
    assert f" {name} " in said
    assert ", noeviction; 0 processes share chats with this key\n" in said
    assert "All is well." in said


def test_a_process_that_shares_is_counted_for_its_key_only(terminal: Terminal, server: Server) -> None:
    linq = terminal.linq
    manager = TypingManager(api_key=linq.api_key, base_url=linq.base_url, redis=server.url)
    with manager, manager.typing_while(linq.chat()):
        found: list[tuple[int, str]] = []

        def counted() -> bool:
            found[:] = [doctor(terminal, server.url, "--json")]
            return bool(json.loads(found[0][1])["redis"]["processes"])

        assert linq.wait_until(counted, PATIENCE)  # one that was held up for 3 s counts again from its next heartbeat
        [(status, said)] = found
        other = terminal.main(
            "doctor", "--json", env={"LINQ_TYPING_REDIS_URL": server.url, "LINQ_API_V3_API_KEY": "other"}
        )
    facts = json.loads(said)["redis"]
    assert (status, facts["answers"], facts["processes"], facts["eviction_policy"]) == (0, True, 1, "noeviction")
    assert facts["version"][0].isdigit()
    assert json.loads(other.stdout)["redis"]["processes"] == 0


def test_the_option_wins(terminal: Terminal, server: Server) -> None:
    status, said = doctor(terminal, "redis://127.0.0.1:1", "--redis-url", server.url)
    assert (status, f"{server.url}, from --redis-url" in said) == (0, True)


def test_with_a_chat_redis_is_looked_at_too(terminal: Terminal, server: Server) -> None:
    status, said = doctor(terminal, server.url, terminal.linq.chat(), "--hold", "0")
    assert (status, "processes share" in said, "start    accepted" in said) == (0, True, True)


def test_a_policy_that_evicts_is_a_problem(terminal: Terminal, server: Server, admin: Any) -> None:
    admin.config_set("maxmemory-policy", "allkeys-lru")
    try:
        status, said = doctor(terminal, server.url)
    finally:
        admin.config_set("maxmemory-policy", "noeviction")
    assert status == 1
    assert "request  the API answers" in said
    assert "Problem: Redis evicts keys when its memory is full (allkeys-lru)" in said
    assert "Fix: Set maxmemory-policy to noeviction" in said


def test_a_server_that_is_not_there(terminal: Terminal) -> None:
    status, said = doctor(terminal, f"redis://bot:{QUOTED}@127.0.0.1:1/0")
    assert status == 1
    assert "redis    redis://127.0.0.1:1/0, from LINQ_TYPING_REDIS_URL" in said
    assert "Problem: Redis does not answer" in said
    assert "request  the API answers" in said
    status, said = doctor(terminal, "redis://127.0.0.1:1", "--json")
    found = json.loads(said)
    assert (found["ok"], found["redis"]["answers"], found["request"]["status"]) == (False, False, 404)


def test_a_wrong_password_is_told_and_not_shown(terminal: Terminal, server: Server, admin: Any) -> None:
    admin.acl_setuser("bot", enabled=True, passwords=["+another"], keys=["*"], commands=["+@all"])
    for how in ((), ("--json",)):
        status, said = doctor(terminal, f"unix://bot:{QUOTED}@{server.socket}", *how)
        assert status == 1
        assert "Redis refuses the user name or the password." in said
        assert PASSWORD not in said
        assert QUOTED not in said


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@host",
        f"redis://bot:{PASSWORD}@host:6379/0",
        f"redis://host?password={QUOTED}",
        f"unix://bot:{QUOTED}@/run/redis.sock?password={QUOTED}",
        f"bot:{PASSWORD}@host",
        f"bot:{PASSWORD}",
        f"http://bot:{QUOTED}@host",
    ],
)
def test_the_password_is_shown_nowhere_however_the_url_is_malformed(terminal: Terminal, url: str) -> None:
    """Of those that can be used, too: only the address is shown."""
    assert not any(part in shown_url(url) for part in ("s3cret", "ss", "bot")), shown_url(url)
    if not url.startswith(("redis://host", "unix")):
        status, said = doctor(terminal, url)
        assert status == 1
        assert "s3cret" not in said
        assert "p@ss" not in said


def test_what_can_not_be_a_url(terminal: Terminal) -> None:
    status, said = doctor(terminal, "localhost:6379")
    assert (status, "Problem: The Redis URL can't be used." in said) == (1, True)


def test_without_the_package(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    status, said = doctor(terminal, "redis://localhost")
    assert (status, 'Fix: Run: pip install "linq-typing[redis]"' in said) == (1, True)


#: What docs/how-to/many-processes.md says.
RULES = ("~{linq-typing:1:*", "+ping", "+script|load", "+evalsha", "+time", "+zscore", "+zadd", "+zrem",
         "+zlexcount", "+zrangebylex", "+zremrangebylex", "+zrangebyscore", "+hgetall", "+hset", "+hdel",
         "+pexpire")  # fmt: skip


def test_the_page_lists_these_rights() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "many-processes.md").read_text(encoding="utf-8")
    command = page.partition("ACL SETUSER linq-typing on >password ")[2].partition("```")[0]
    assert command.split() == list(RULES)


def restrict(admin: Any, *rules: str) -> str:
    """A user with these rights only, and the URL's part that names it."""
    admin.execute_command("ACL", "SETUSER", "bot", "reset", "on", f">{PASSWORD}", *rules)
    return f"bot:{QUOTED}"


def test_a_restricted_user_without_info(terminal: Terminal, server: Server, admin: Any) -> None:
    who = restrict(admin, *RULES)
    status, said = doctor(terminal, f"unix://{who}@{server.socket}")
    assert (status, "no permission for INFO" in said, "0 processes share" in said) == (0, True, True)
    restrict(admin, *RULES, "+info")
    status, said = doctor(terminal, f"unix://{who}@{server.socket}")
    assert (status, "noeviction; 0 processes share" in said) == (0, True)


def test_another_database_needs_select(terminal: Terminal, server: Server, admin: Any) -> None:
    url = f"unix://{restrict(admin, *RULES)}@{server.socket}?db=1"
    assert doctor(terminal, url)[0] == 1
    restrict(admin, *RULES, "+select")
    assert doctor(terminal, url)[0] == 0


@pytest.mark.parametrize("missing", ["~{linq-typing:1:*", "+ping", "+script|load", "+evalsha", "+zrem"])
def test_a_right_that_is_missing(terminal: Terminal, server: Server, admin: Any, missing: str) -> None:
    who = restrict(admin, *(rule for rule in RULES if rule != missing))
    status, said = doctor(terminal, f"unix://{who}@{server.socket}")
    assert status == 1
    assert "Many processes" in said
    assert "permission" in said or "can't run this command" in said


def test_the_rights_are_those_that_the_scripts_need(server: Server) -> None:
    """Not one more, but for what loads and runs them."""
    called = {name.lower() for text in SCRIPTS.values() for name in re.findall(r"redis\.call\('(\w+)'", text)}
    granted = {rule.removeprefix("+") for rule in RULES if rule.startswith("+")}
    assert granted == called | {"ping", "evalsha", "script|load"}


def test_processes_share_with_these_rights(terminal: Terminal, server: Server, admin: Any) -> None:
    """Two managers, one chat; the first leaves while the other goes on."""
    admin.acl_log_reset()
    linq, chat = terminal.linq, terminal.linq.chat()
    url = f"unix://{restrict(admin, *RULES)}@{server.socket}"
    key = f"{key_prefix(linq.base_url, linq.api_key)}:chat:{chat}"
    managers = [TypingManager(api_key=linq.api_key, base_url=linq.base_url, redis=url) for _ in range(2)]
    first, second = (manager.typing_while(chat, stop_delay=0) for manager in managers)
    with second:
        with first:
            for manager in managers:
                assert linq.wait_until(lambda manager=manager: manager.stats().sharing == "shared", PATIENCE)
            assert linq.wait_until(lambda: linq.visible(chat), PATIENCE)
            # Before the first leaves, the server has to know that the second wants it, too.
            assert linq.wait_until(lambda: sum(name.startswith(b"w:") for name in admin.hkeys(key)) == 2, PATIENCE)
        managers[0].close()
        assert linq.visible(chat)
    assert linq.wait_until(lambda: not linq.visible(chat), PATIENCE)
    managers[1].close()
    assert [entry["object"] for entry in admin.acl_log() if entry["object"] != "client|setinfo"] == []


@pytest.mark.parametrize(
    ("server", "version", "fits"),
    [("Redis", "6.0.16", False), ("Redis", "6.2", True), ("Redis", "8.0.1", True), ("Valkey", "7.2.5", True)],
)
def test_versions(server: str, version: str, fits: bool) -> None:
    facts = {"server": server, "version": version, "eviction_policy": "noeviction"}
    assert (_unsuitable(facts) is None) is fits
