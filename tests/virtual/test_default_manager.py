"""The process-wide manager, and managers that are set up by the environment."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable

import httpx
import pytest

import linq_typing
from linq_typing import (
    ConfigurationError,
    LinqTypingError,
    TypingManager,
    current_session,
    mark_sent,
    typing_while,
    watch,
)
from linq_typing._engine import source
from linq_typing._engine.lifecycle import Life
from linq_typing._linq import PUBLIC_BASE_URL

from .kit import BASE, KEY, LONG, Transport, VirtualLinq, VirtualThread, say

Configure = Callable[..., None]

CHAT = "11111111-2222-4333-8444-555555555555"
KEYS = ("LINQ_API_V3_API_KEY", "LINQ_API_KEY", "LINQ_API_TOKEN")


@pytest.fixture
def no_key(linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says where the simulation is, but names no key."""
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", BASE)
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


# -- The functions of the module


@pytest.mark.usefixtures("configure")
def test_without_configuration_it_is_made_from_the_environment(linq: VirtualLinq) -> None:
    chat = linq.chat()
    with typing_while(chat) as session:
        assert current_session() is session
        linq.sleep(10.0)
        assert linq_typing.stats().requests == {"accepted": 1}
    linq.sleep(LONG)
    assert linq.log(chat) == [(0.0, "start"), (10.5, "stop")]


@pytest.mark.usefixtures("configure")
def test_before_its_first_use_there_is_nothing_to_flush_to_close_or_to_count(linq: VirtualLinq) -> None:
    async def bot() -> None:
        assert await linq_typing.aflush()
        assert await linq_typing.aclose()

    assert linq_typing.flush()
    assert linq_typing.close()
    linq.run(bot())
    assert linq_typing.stats() == linq_typing.Stats()
    assert linq_typing._default._manager is None


@pytest.mark.usefixtures("configure")
def test_flush_and_close_of_the_module_and_their_async_twins(linq: VirtualLinq) -> None:
    chats = [linq.chat() for _ in range(4)]

    async def bot() -> None:
        async with typing_while(chats[2], stop_delay=60.0):
            pass
        assert await linq_typing.aflush()
        async with typing_while(chats[3], stop_delay=60.0):
            pass
        assert await linq_typing.aclose()

    for chat, finish in zip(chats[:2], (linq_typing.flush, linq_typing.close), strict=True):
        with typing_while(chat, stop_delay=60.0):
            linq.sleep(1.0)
        assert finish()
    linq.run(bot())
    assert linq.log(chats[0]) == [(0.0, "start"), (1.0, "stop")]
    assert linq.log(chats[1]) == [(1.0, "start"), (2.0, "stop")]
    assert linq.now == 2.0


def test_mark_sent_of_the_module_is_the_innermost_sessions(linq: VirtualLinq, configure: Configure) -> None:
    """Even if its manager was replaced meanwhile; without a session, it is the process-wide manager's."""
    old, other = linq.chat(), linq.chat()
    with typing_while(old), typing_while(other):
        linq.sleep(1.0)
        configure(api_key=KEY, base_url=BASE)
        mark_sent(old.upper())
        mark_sent(linq.chat())
        linq.send_as_colleague(old)
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(old) == [(0.0, "start")]
    assert linq.log(other) == [(0.0, "start"), (60.0, "start"), (101.5, "stop")]


# -- configure()


def test_configure_replaces_the_manager_and_open_sessions_finish_on_the_old(
    linq: VirtualLinq, configure: Configure
) -> None:
    old_chat, new_chat, transport = linq.chat(), linq.chat(), Transport(linq)
    configure(api_key=KEY, base_url=BASE, transport=transport, stop_delay=2.0)
    with typing_while(old_chat):
        linq.sleep(10.0)
        configure(api_key=KEY, base_url=f"{BASE}/v3/", stop_delay=7.0)
        with typing_while(new_chat):
            linq.sleep(100.0)
        assert transport.closed_at == []
    linq.sleep(LONG)
    assert linq.log(old_chat) == [(0.0, "start"), (60.0, "start"), (112.0, "stop")]
    assert linq.log(new_chat) == [(10.0, "start"), (70.0, "start"), (117.0, "stop")]
    assert transport.closed_at == [112.0]  # it has closed itself


def test_settings_that_are_refused_change_nothing(linq: VirtualLinq, configure: Configure) -> None:
    chat = linq.chat()
    with typing_while(chat):
        linq.sleep(1.0)
    with pytest.raises(ConfigurationError):
        configure(api_key="k\u00e4se")
    with pytest.raises(ValueError, match="settle"):
        configure(settle=-1.0)
    with typing_while(chat):
        linq.sleep(10.0)
    assert linq.asked(chat) == ["start"]


def test_configure_keeps_clients_watched_and_the_old_managers_sessions_notice_their_messages(
    linq: VirtualLinq, configure: Configure, client: httpx.Client
) -> None:
    old, new, marked = linq.chat(), linq.chat(), linq.chat()
    watch(client)
    with typing_while(old), typing_while(marked):
        linq.sleep(1.0)
        configure(api_key=KEY, base_url=BASE)
        gc.collect()
        say(client, old)
        mark_sent(marked)
        linq.send_as_colleague(marked)
        with typing_while(new):
            linq.sleep(1.0)
            say(client, new)
        linq.sleep(100.0)
    linq.sleep(LONG)
    assert linq.log(old) == [(0.0, "start"), (1.0, "send")]
    assert linq.log(new) == [(1.0, "start"), (2.0, "send")]
    assert linq.log(marked) == [(0.0, "start")]


def test_close_keeps_what_configure_set(
    linq: VirtualLinq, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is used again does not fall back to the environment's key, or to none."""
    monkeypatch.delenv("LINQ_API_V3_API_KEY")
    configure(api_key=KEY, base_url=BASE)
    assert linq_typing.close()
    chat = linq.chat()
    with typing_while(chat):
        linq.sleep(1.0)
    assert linq.asked(chat) == ["start"]


@pytest.mark.usefixtures("configure")
def test_a_watched_client_stays_watched_after_close(linq: VirtualLinq, client: httpx.Client) -> None:
    chat = linq.chat()
    watch(client)
    linq_typing.close()
    with typing_while(chat):
        linq.sleep(1.0)
        say(client, chat)
    linq_typing.close()
    linq.sleep(LONG)
    assert linq.asked(chat) == ["start", "send"]


# -- The environment


@pytest.mark.usefixtures("no_key")
def test_no_key_costs_no_reply_and_is_one_error_that_names_the_variables(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LINQ_API_TOKEN", "secret-token")
    manager = TypingManager()
    for _ in range(3):
        with manager.typing_while(linq.chat()) as session:
            assert current_session() is session
            linq.sleep(1.0)
        assert isinstance(session.error, ConfigurationError)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    for name in KEYS:
        assert name in record.getMessage()
    assert "secret-token" not in caplog.text
    assert linq.requests == ()
    assert manager.close()


@pytest.mark.usefixtures("no_key", "caplog")
def test_no_key_is_one_error_even_if_sessions_begin_at_once(request: pytest.FixtureRequest) -> None:
    """The second one begins while the first is being logged."""
    manager, logger, logged = TypingManager(), logging.getLogger("linq_typing"), []

    def block() -> None:
        with manager.typing_while(CHAT):
            pass

    def log(record: logging.LogRecord) -> bool:
        logged.append(record.levelname)
        if len(logged) == 1:
            thread = threading.Thread(target=block)
            thread.start()
            thread.join()
        return True

    request.addfinalizer(lambda: logger.removeFilter(log))
    logger.addFilter(log)
    block()
    assert logged == ["ERROR"]


@pytest.mark.usefixtures("no_key")
def test_a_message_makes_no_manager_work_that_has_no_key(
    linq: VirtualLinq, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    manager = TypingManager()
    say(manager.watch(client), linq.chat())
    assert manager.stats() == linq_typing.Stats()
    assert caplog.records == []


@pytest.mark.usefixtures("no_key")
def test_the_key_is_looked_for_again_at_each_entry(linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .env file that is loaded late."""
    manager, chat = TypingManager(), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
    assert session.error is None
    assert manager.close()
    assert linq.asked(chat) == ["start", "stop"]


@pytest.mark.usefixtures("no_key")
def test_a_manager_follows_the_environment_when_it_opens_again(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before: what it had stays good as long as it is open."""
    monkeypatch.setenv("LINQ_API_KEY", "wrong-key-123")
    manager, chat = TypingManager(), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(0.5)
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.close()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.close()
    assert [request.status for request in linq.requests] == [401, 401, 204, 204]


@pytest.mark.usefixtures("no_key")
def test_a_manager_whose_key_has_gone_from_the_environment_sends_nothing(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It used to say so in the log, and to send with the old key."""
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    manager, chat = TypingManager(), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.close()
    monkeypatch.delenv("LINQ_API_KEY")
    with manager.typing_while(chat) as session:
        linq.sleep(1.0)
    assert isinstance(session.error, ConfigurationError)
    assert manager.close()
    assert linq.asked(chat) == ["start", "stop"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_sessions_that_are_open_while_the_environment_changes_finish_as_they_began(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing ends them; a session that begins while the manager closes belongs to what comes after."""
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", BASE)
    manager, first, second = TypingManager(), linq.chat(), linq.chat()
    linq.slow("stop", before=2.0)
    with manager.typing_while(first):
        linq.sleep(1.0)
    closing = linq.begin(manager.aclose())
    linq.sleep()
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", f"{BASE}/v3")  # the same, otherwise spelled
    with manager.typing_while(second):
        linq.sleep(1.0)
        assert not closing.done()
        linq.sleep(10.0)
    assert closing.result()
    assert manager.close()
    assert linq.log(second) == [(3.0, "start"), (12.0, "stop")]


def test_the_engine_of_a_past_environment_closes(linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its sessions have ended, which keep it until then."""
    monkeypatch.setenv("LINQ_API_KEY", KEY)
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", BASE)
    manager, chat = TypingManager(), linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
        old = manager._engines.engine
        assert old is not None
        manager._engines.renew(manager)
        linq.sleep(1.0)
        assert old.life is Life.RETIRING
    linq.sleep(LONG)
    assert old.life is Life.CLOSED
    assert linq.asked(chat) == ["start", "stop"]


def test_a_thread_that_can_not_be_started_costs_no_reply_and_is_one_warning(
    linq: VirtualLinq, thread: VirtualThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next entry tries again."""
    failing = True

    def loop_thread() -> VirtualThread:
        if failing:
            raise LinqTypingError("no thread left")
        return thread

    monkeypatch.setattr(source, "loop_thread", loop_thread)
    manager, chat = TypingManager(api_key=KEY, base_url=BASE), linq.chat()
    for _ in range(2):
        with manager.typing_while(chat) as session:
            linq.sleep(1.0)
        assert str(session.error) == "no thread left"
        manager.mark_sent(chat)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    failing = False
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.close()
    assert linq.asked(chat) == ["start", "stop"]


def test_a_manager_says_where_it_sends_and_where_it_is_in_its_life(linq: VirtualLinq) -> None:
    manager = TypingManager(api_key=KEY, base_url=BASE)
    assert repr(manager) == f"<TypingManager base_url='{BASE}'>"
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    linq.slow("stop", before=1.0)
    closing = linq.begin(manager.aclose())
    linq.sleep(0.5)
    assert repr(manager) == f"<TypingManager base_url='{BASE}' closing>"
    linq.sleep(1.0)
    assert closing.result()
    assert repr(manager) == f"<TypingManager base_url='{BASE}' closed>"
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
        assert repr(manager) == f"<TypingManager base_url='{BASE}'>"
        assert manager.close()
    linq.sleep(1.0)
    assert repr(manager) == f"<TypingManager base_url='{BASE}' closed>"


def test_a_manager_that_is_disabled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LINQ_API_V3_BASE_URL", raising=False)
    assert repr(TypingManager(enabled=False)) == f"<TypingManager base_url='{PUBLIC_BASE_URL}' disabled>"


def test_a_manager_whose_thread_has_died_is_ready_to_open_again(
    linq: VirtualLinq, thread: VirtualThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a forked child: there is nothing to flush or to close, and who waits for the old engine is told at once."""
    manager = TypingManager(api_key=KEY, base_url=BASE)
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    engine = manager._engines.engine
    assert engine is not None
    thread.dead = True
    assert engine.begin_close().result is True
    assert (manager.flush(), manager.close()) == (True, True)
    assert repr(manager) == f"<TypingManager base_url='{BASE}'>"
    another, chat = VirtualThread(linq.loop), linq.chat()
    monkeypatch.setattr(source, "loop_thread", lambda: another)
    with manager.typing_while(chat):
        linq.sleep(1.0)
    assert manager.close()
    assert linq.asked(chat) == ["start", "stop"]


def test_who_calls_from_on_event_may_not_wait(
    linq: VirtualLinq, thread: VirtualThread, manager: TypingManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's thread would wait for itself."""
    with manager.typing_while(linq.chat()):
        linq.sleep(1.0)
    with monkeypatch.context() as patch:
        patch.setattr(thread, "is_current", True, raising=False)
        for call in (manager.flush, manager.close):
            with pytest.raises(RuntimeError, match="from on_event"):
                call()


@pytest.mark.parametrize("how", ["by the environment", "by the argument"])
def test_disabled_sessions_work_and_send_nothing(
    linq: VirtualLinq, monkeypatch: pytest.MonkeyPatch, client: httpx.Client, how: str
) -> None:
    if how == "by the environment":
        monkeypatch.setenv("LINQ_TYPING_ENABLED", "0")
    manager = TypingManager(enabled=None if how == "by the environment" else False)
    manager.watch(client)
    chat = linq.chat()
    with manager.typing_while(chat) as session:
        session.pause()
        session.resume()
        session.mark_sent()
        with session.sending() as sending:
            sending.failed()
        with session.paused():
            assert current_session() is session
        say(client, chat)
        linq.sleep(100.0)
    assert session.error is None
    assert manager.flush()
    assert manager.close()
    assert linq.asked(chat) == ["send"]


def test_entering_and_leaving_do_not_wait_for_the_network(linq: VirtualLinq, manager: TypingManager) -> None:
    linq.lose("typing", hang=True, effect=False)
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(1.0)
        with manager.typing_while(chat):
            pass
    assert linq.now == 1.0
    assert linq.asked(chat) == ["start"]
