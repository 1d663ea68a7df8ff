"""Managers that share, each as a process of its own would, over the twin of a server, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any

import httpx
import pytest

from linq_typing import TypingManager
from linq_typing._core.member import PATIENCE, Call, Member
from linq_typing._engine.shared_runner import SharedRunner
from linq_typing._engine.sharing import ServerError
from virtual.kit import LONG, MakeManager, VirtualLinq, elsewhere, say

from .twin import Twin

Share = Callable[..., TypingManager]


class VirtualServer:
    """A server, 1 ms away, as one process sees it."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.refuses: ServerError | None = None
        self.denies: str | None = None
        self.frozen = False
        self.calls: list[str] = []

    async def connect(self) -> None:
        if self.refuses:
            raise self.refuses

    async def run(self, calls: Sequence[Call], *, heartbeat: bool = False) -> list[Any]:
        await self.connect()
        if self.frozen:
            await asyncio.sleep(PATIENCE)
            raise ServerError("no answer")
        await asyncio.sleep(0.001)
        if any(call.script == self.denies for call in calls):
            raise ServerError("NOPERM", denied=True)
        replies = [self.twin.run(call) for call in calls]
        self.calls += [call.script for call in calls]
        await asyncio.sleep(0.001)
        return replies

    async def aclose(self) -> None:
        pass


@pytest.fixture
def twin(linq: VirtualLinq) -> Twin:
    return Twin(lambda: round((1e6 + linq.loop.time()) * 1000))


@pytest.fixture
def server(twin: Twin) -> VirtualServer:
    return VirtualServer(twin)


@pytest.fixture
def share(make_manager: MakeManager, server: VirtualServer) -> Share:
    """Makes managers that share: with a server object of their own, or the one of the test."""
    numbers = count(1)

    def make(own: VirtualServer = server, **settings: Any) -> TypingManager:
        def runner(*args: Any, **options: Any) -> SharedRunner:
            member: Any = Member("{t}", 5.0, lambda: f"m{next(numbers)}")
            return SharedRunner(*args, server=own, member=member, **options)

        manager = make_manager(**settings)
        engines = manager._engines
        engines.settings = engines.settings._replace(make_runner=runner)
        with elsewhere(manager.typing_while, "00000000-0000-4000-8000-000000000000"):
            pass  # makes the engine
        return manager

    return make


def test_overlapping_sessions_share_one_start_one_timer_and_one_stop(linq: VirtualLinq, share: Share) -> None:
    """Whoever began, and whoever is last."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    with one.typing_while(chat):
        linq.sleep(10.0)
        with two.typing_while(chat):
            linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "stop"]
    with ExitStack() as blocks:
        for manager in (one, two, one, two):
            blocks.enter_context(manager.typing_while(chat))
            linq.sleep(0.3)
        linq.sleep(130.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "stop", "start", "start", "start", "stop"]


def test_what_it_costs(linq: VirtualLinq, share: Share, server: VirtualServer) -> None:
    """A question and a word afterwards for each request, and one word for leaving while others go on."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)

    def exchanges() -> int:
        return server.calls.count("exchange")

    before = exchanges()
    with one.typing_while(chat):
        linq.sleep(1.0)
        assert exchanges() - before == 2
        with two.typing_while(chat):
            linq.sleep(1.0)
            assert exchanges() - before == 3
        linq.sleep(1.0)
        assert exchanges() - before == 4
    linq.sleep(1.0)
    assert exchanges() - before == 6


def test_a_message_counts_in_all(linq: VirtualLinq, share: Share) -> None:
    """It takes the indicator down; who still works shows it again when it has settled."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    with two.typing_while(chat):
        linq.sleep(1.0)
        with one.typing_while(chat) as session:
            linq.sleep(1.0)
            session.mark_sent()
            at = linq.now
        linq.sleep(10.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "stop"]
    assert 3.0 <= linq.moments(chat)[1] - at <= 3.6


def test_a_message_marked_in_a_process_without_sessions(linq: VirtualLinq, share: Share) -> None:
    """It quiets the oldest session of the others."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    with two.typing_while(chat):
        linq.sleep(5.0)
        elsewhere(one.mark_sent, chat)
        linq.sleep(20.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start"]


def test_the_first_session_waits_for_the_server(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """But not longer than 0.25 s, whatever the server does."""
    frozen = VirtualServer(twin)
    frozen.frozen = True
    manager, chat = share(frozen), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert linq.moments(chat) == [0.25]


def test_alone_and_together_again(
    linq: VirtualLinq, share: Share, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """Each goes on as without the others; both are said once; afterwards they agree again."""
    caplog.set_level(logging.INFO, "linq_typing")
    servers = VirtualServer(twin), VirtualServer(twin)
    one, two, chat = share(servers[0]), share(servers[1]), linq.chat()
    linq.sleep(1.0)
    with two.typing_while(chat):
        linq.sleep(1.0)
        servers[0].refuses = ServerError("gone")
        linq.sleep(5.0)
        with one.typing_while(chat):
            linq.sleep(5.0)
            servers[0].refuses = None
            linq.sleep(5.0)
        linq.sleep(5.0)
        assert linq.asked(chat) == ["start", "start"]
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "stop"]
    said = [(record.levelname, record.message) for record in caplog.records if "shared" in record.message]
    assert [level for level, _ in said] == ["INFO", "INFO", "WARNING", "INFO"]
    assert said[2][1].endswith(": gone")


def test_a_wrong_password_is_one_error(
    linq: VirtualLinq, share: Share, server: VirtualServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The bot goes on alone."""
    server.refuses = ServerError("WRONGPASS", denied=True)
    manager, chat = share(), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(20.0)
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (20.5, "stop")]
    assert [record.levelname for record in caplog.records if "shared" in record.message] == ["ERROR"]


def test_a_wrong_password_that_is_told_late(
    linq: VirtualLinq, share: Share, server: VirtualServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It went alone for another reason; somebody has to mend the configuration all the same."""
    server.frozen = True
    manager = share()
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
        server.refuses = ServerError("WRONGPASS", denied=True)
        linq.sleep(20.0)
    said = [record.levelname for record in caplog.records if "shared" in record.message]
    assert said == ["WARNING", "ERROR"]


def test_heartbeats_are_answered_but_exchanges_are_denied(
    linq: VirtualLinq, share: Share, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, not with every heartbeat. Ten minutes later it is tried again."""
    server = VirtualServer(twin)
    server.denies = "exchange"
    manager = share(server)
    linq.sleep(1.0)
    with manager.typing_while(linq.chat()):
        linq.sleep(500.0)
        assert [record.levelname for record in caplog.records if "shared" in record.message] == ["ERROR"]
        server.denies = None
        linq.sleep(150.0)
        assert manager.stats().sharing == "shared"


def test_a_server_that_forgets_everything(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """It is told again."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    with one.typing_while(chat):
        with two.typing_while(chat):
            linq.sleep(1.0)
            twin.flush()
            linq.sleep(5.0)
        linq.sleep(5.0)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "stop"]


def test_what_one_leaves_behind_is_taken_over(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """It is cut off for good while its indicator is up, and its end is not heard of: as if it was killed."""
    own = VirtualServer(twin)
    one, two, chat = share(own), share(), linq.chat()
    linq.sleep(1.0)
    session = one.typing_while(chat)
    session.__enter__()
    linq.sleep(1.0)
    own.frozen = True
    runner = one._engines.engine._runner  # type: ignore[union-attr]
    runner.end_requests = _never  # type: ignore[method-assign]
    at = linq.now
    assert linq.wait_until(lambda: linq.asked(chat) == ["start", "stop"], 10.0)
    assert linq.now - at < 10.0
    del runner.end_requests
    session.__exit__(None, None, None)
    assert two.close()


async def _never() -> None:
    raise AssertionError


# -- Webhooks, of which one process may hear alone


def test_a_colleagues_message_counts_in_all(linq: VirtualLinq, share: Share) -> None:
    """Also where the process that hears of it has no session. Once: sent and delivered are about the same message."""
    hears, works, chat = share(), share(), linq.chat()
    linq.set_webhook(hears.observe)
    linq.sleep(1.0)
    with works.typing_while(chat), works.typing_while(chat):
        linq.sleep(5.0)
        linq.send_as_colleague(chat)
        linq.sleep(20.0)
        assert linq.asked(chat) == ["start", "start"]  # one is quiet, the other works on
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "stop"]


def test_a_message_of_another_process_is_not_taken_for_a_colleagues(
    linq: VirtualLinq, share: Share, client: httpx.Client
) -> None:
    """It has quieted its own session already."""
    sends, hears, chat = share(), share(), linq.chat()
    sends.watch(client)
    linq.set_webhook(hears.observe)
    linq.sleep(1.0)
    with hears.typing_while(chat):
        linq.sleep(2.0)
        with sends.typing_while(chat):
            linq.sleep(2.0)
            say(client, chat)
        linq.sleep(20.0)
        assert linq.visible(chat)
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "send", "start", "stop"]


@pytest.mark.parametrize("own", [False, True])
def test_a_failed_message_leaves_no_ghost(linq: VirtualLinq, share: Share, client: httpx.Client, own: bool) -> None:
    """It was accepted, so no stop seemed to be needed. Whichever process hears that it failed."""
    sends, other, chat = share(), share(), linq.chat()
    sends.watch(client)
    linq.set_webhook((sends if own else other).observe)
    linq.write(chat)  # the webhook of which says that there are webhooks
    linq.fail_messages()
    linq.sleep(1.0)
    with sends.typing_while(chat):
        linq.sleep(2.0)
        say(client, chat)
    linq.sleep(10.0)
    assert linq.asked(chat) == ["start", "send", "stop"]


def test_a_failed_message_in_a_chat_that_showed_nothing(linq: VirtualLinq, share: Share, client: httpx.Client) -> None:
    """There is nothing to stop."""
    manager, chat = share(), linq.chat()
    manager.watch(client)
    linq.set_webhook(manager.observe)
    linq.write(chat)
    linq.fail_messages()
    linq.sleep(1.0)
    say(client, chat)
    linq.sleep(10.0)
    assert linq.asked(chat) == ["send"]


def test_a_message_that_the_api_refuses_counts_in_none(linq: VirtualLinq, share: Share, client: httpx.Client) -> None:
    """Nothing has cleared the indicator, so its stop is needed."""
    sends, other, chat = share(), share(), linq.chat()
    sends.watch(client)
    linq.sleep(1.0)
    with sends.typing_while(chat), other.typing_while(chat):
        linq.sleep(2.0)
        linq.fail("send", 400)
        say(client, chat)
        linq.sleep(1.0)
        assert linq.visible(chat)
    linq.sleep(10.0)
    assert linq.asked(chat) == ["start", "send", "stop"]


@pytest.mark.parametrize("others", [False, True])
def test_a_chat_that_was_opened_again(linq: VirtualLinq, share: Share, others: bool) -> None:
    """One stop and one start show it again; but nobody stops what others want."""
    one, two, chat = share(), share(), linq.chat()
    linq.set_webhook(one.observe)
    linq.sleep(1.0)
    linq.send_as_colleague(chat)
    linq.sleep(10.0)
    with ExitStack() as blocks:
        for manager in (one, two) if others else (one,):
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(5.0)
        linq.reopen(chat)
        linq.sleep(5.0)
        assert linq.asked(chat) == (["start"] if others else ["start", "stop", "start"])
        linq.sleep(20.0)
    linq.sleep(LONG)
    assert linq.asked(chat)[-1] == "stop"


def test_closing(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """A stop that others keep from going out is no reason to wait. Nobody is left behind; it may open again."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    assert len(twin.members) == 2
    with two.typing_while(chat):
        block = one.typing_while(chat)
        block.__enter__()
        linq.sleep(1.0)
        at = linq.now
        assert one.close()
        assert linq.now - at < 0.1
        assert len(twin.members) == 1
        with one.typing_while(chat):
            linq.sleep(1.0)
            assert len(twin.members) == 2
        block.__exit__(None, None, None)
    assert two.close()
    assert one.close()
    assert (twin.members, twin.held, twin.news) == ({}, set(), set())
    assert linq.asked(chat) == ["start", "stop"]


def test_opening_again_in_a_chat_that_is_remembered(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """Its message had yet to settle when the manager closed."""
    manager, chat = share(), linq.chat()
    linq.sleep(1.0)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
        session.mark_sent()
    assert manager.close()
    assert twin.members == {}
    with manager.typing_while(chat):
        linq.sleep(10.0)
        assert linq.visible(chat)
        assert len(twin.members) == 1
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "start", "stop"]


def test_a_message_right_after_the_start(linq: VirtualLinq, share: Share) -> None:
    """The clocks of two members can't tell which came first, but here both are of one."""
    manager, chat = share(), linq.chat()
    linq.sleep(1.0)
    with manager.typing_while(chat) as session:
        linq.wait_until(lambda: linq.visible(chat))
        linq.sleep(0.005)
        session.mark_sent()
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start"]


def test_a_stop_that_was_not_applied_is_not_needed_by_the_next_session(linq: VirtualLinq, share: Share) -> None:
    """The indicator is still up, and another member need not start it again."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    linq.fail("stop", 429, times=1)
    with one.typing_while(chat, stop_delay=0.0):
        linq.sleep(2.0)
    assert linq.wait_until(lambda: "stop" in linq.asked(chat))
    with two.typing_while(chat):
        linq.sleep(5.0)
        assert linq.visible(chat)
        assert linq.asked(chat) == ["start", "stop"]
    linq.sleep(10.0)
    assert not linq.visible(chat)


@pytest.mark.parametrize("by", ["stop", "message"])
def test_a_start_is_undone_at_once(linq: VirtualLinq, share: Share, by: str) -> None:
    """Too soon after it for clocks to tell: the next session shows the indicator all the same, in any process."""
    one, two, chat = share(settle=0.0), share(settle=0.0), linq.chat()
    linq.sleep(1.0)
    for number, manager in enumerate((one, two, two, one), start=1):
        with manager.typing_while(chat, stop_delay=0.0) as session:
            assert linq.wait_until(lambda number=number: len(linq.moments(chat)) == number, 2.0)
            linq.sleep(0.005)
            if by == "message":
                session.mark_sent()
        linq.sleep(0.02)
    linq.sleep(LONG)
    assert len(linq.moments(chat)) == 4


@pytest.mark.parametrize("end", ["close", "flush"])
def test_ending_before_the_others_start_was_heard_of(linq: VirtualLinq, share: Share, end: str) -> None:
    """The one that showed the indicator has left its stop to the last one, which does not know of it yet."""
    one, two, chat = share(), share(), linq.chat()
    linq.sleep(1.0)
    with one.typing_while(chat), two.typing_while(chat):
        assert linq.wait_until(lambda: linq.visible(chat), 2.0)
        linq.sleep(0.01)
        assert one.close()
        assert linq.visible(chat)
        if end == "close":
            assert two.close()
    if end == "flush":
        assert two.flush()
    assert linq.asked(chat) == ["start", "stop"]


def test_closing_while_the_server_is_frozen(linq: VirtualLinq, share: Share, server: VirtualServer) -> None:
    """Its answer is not waited for longer than ever."""
    manager, chat = share(), linq.chat()
    linq.sleep(1.0)
    with manager.typing_while(chat):
        linq.sleep(1.0)
        server.frozen = True
        at = linq.now
        assert manager.close()
        assert linq.now - at < 1.0
    assert linq.asked(chat) == ["start", "stop"]


def test_closing_tells_all(linq: VirtualLinq, share: Share, twin: Twin) -> None:
    """Also what comes up while other chats are being told of. Else the next process stops them all once more."""
    manager, chats = share(max_connections=3), [linq.chat() for _ in range(40)]
    linq.sleep(1.0)
    with ExitStack() as blocks:
        for chat in chats:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(5.0)
        linq.slow("stop", before=(0.0, 0.002))
        assert manager.close()
    assert (twin.members, twin.held, twin.news) == ({}, set(), set())


def test_many_chats_at_once(linq: VirtualLinq, share: Share, server: VirtualServer) -> None:
    """They go out in batches; both processes ask for all, and each chat has one start and one stop."""
    one, two = share(), share()
    linq.sleep(1.0)
    chats = [linq.chat() for _ in range(500)]
    with ExitStack() as blocks:
        for chat in chats:
            for manager in (one, two):
                blocks.enter_context(manager.typing_while(chat))
        linq.sleep(5.0)
    linq.sleep(LONG)
    assert all(linq.asked(chat) == ["start", "stop"] for chat in chats)


def test_an_api_that_is_down_is_probed_by_one_chat_at_a_time(linq: VirtualLinq, share: Share) -> None:
    """Many may have asked when the first is granted."""
    manager, chats = share(max_connections=4), [linq.chat() for _ in range(30)]
    linq.sleep(1.0)
    linq.fail("start", 500)
    linq.slow("start", before=0.1)
    with ExitStack() as blocks:
        for chat in chats:
            blocks.enter_context(manager.typing_while(chat))
        linq.sleep(100.0)
        assert manager.stats().suspended
        # As without others: five failures, with four requests in flight, then one at a time.
        moments = [round(request.received_at - 1.0, 1) for request in linq.requests]
        assert moments == pytest.approx([*[0.0] * 4, *[0.1] * 4, 1.2, 3.3, 7.4, 15.5, 31.6, 63.7], abs=0.15)
        linq.clear_faults()
        linq.sleep(60.0)
        assert all(linq.visible(chat) for chat in chats)
