"""The library's own transports, which behave alike, and others."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import sys
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import uuid4

import httpx_aiohttp
import pytest

from linq_typing import APIConnectionError, ConfigurationError, TypingManager
from linq_typing._engine.transports import TransportOption
from linq_typing.sandbox import Sandbox
from patience import PATIENCE
from ports import reserved_port

from .kit import Asked, Events, MakeManager, eventually, run

OWN = pytest.mark.parametrize("transport", [None, "fast"], ids=["built-in", "fast"])

each_transport = pytest.mark.parametrize(
    "make_transport",
    [lambda: None, lambda: "fast", httpx_aiohttp.AiohttpTransport],
    ids=["built-in", "fast", "httpx-aiohttp"],
)


@OWN
def test_a_refused_connection_needs_no_stop(
    linq: Sandbox, make_manager: MakeManager, events: Events, transport: TransportOption
) -> None:
    chat, manager = linq.chat(), make_manager(on_event=events, backoff_max=0.1, transport=transport)
    linq.stop()
    with reserved_port(urlsplit(linq.base_url).port or 0):
        with manager.typing_while(chat) as session:
            assert eventually(lambda: len(events) >= 2)
            assert isinstance(session.error, APIConnectionError)
        linq.start()
    manager.close()
    assert linq.requests == ()


@pytest.mark.slow
@pytest.mark.parametrize("effect_after", [0.0, 1.0], ids=["it took effect at once", "it takes effect later"])
@each_transport
def test_a_start_whose_answer_was_lost_leaves_no_ghost(
    linq: Sandbox,
    make_manager: MakeManager,
    asked: Asked,
    make_transport: Callable[[], TransportOption],
    effect_after: float,
) -> None:
    """httpx-aiohttp reports a server that takes the request and drops the connection as a failure to connect."""
    chat = linq.chat()
    linq.lose("start", effect_after=effect_after)
    manager = make_manager(transport=make_transport(), max_retries=0)
    with manager.typing_while(chat, stop_delay=0) as session:
        assert linq.wait_until(lambda: session.error is not None)
    assert asked.soon(chat, "start", "stop", "stop")
    assert not linq.visible(chat)


@each_transport
def test_a_transport_serves_a_manager_that_opens_again(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, make_transport: Callable[[], TransportOption]
) -> None:
    """httpx-aiohttp's can't be used once it is closed, so closing the manager leaves it open."""
    manager = make_manager(transport=make_transport(), stop_delay=0)
    for chat in (linq.chat(), linq.chat()):
        with manager.typing_while(chat):
            assert asked.soon(chat, "start")
        assert manager.close()
        assert asked(chat) == ["start", "stop"]


@OWN
@pytest.mark.usefixtures("no_garbage_collection")  # a manager that is dropped would begin to close as the thread dies
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # nothing closes what the dead thread had
def test_a_manager_whose_thread_has_died_goes_on_with_another(
    linq: Sandbox, make_manager: MakeManager, asked: Asked, transport: TransportOption
) -> None:
    """With new connections: the old ones belong to the old thread's event loop."""
    manager, chat, later = make_manager(transport=transport, stop_delay=0), linq.chat(), linq.chat()
    with manager.typing_while(chat):
        assert asked.soon(chat, "start")
    assert asked.soon(chat, "start", "stop")
    thread = manager._engines.engine._thread
    thread.post(thread._loop.stop)
    thread._thread.join(PATIENCE)
    del thread
    with manager.typing_while(later):
        assert asked.soon(later, "start")
    assert manager.close()
    gc.collect()


# -- Limits


@OWN
def test_no_more_connections_are_open_than_allowed(transport: TransportOption) -> None:
    """Nine starts and nine stops share three connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        manager = TypingManager(
            api_key="k" * 8, base_url=url, transport=transport, max_connections=3, timeout=PATIENCE, stop_delay=0
        )
        blocks = [manager.typing_while(str(uuid4())) for _ in range(9)]
        for block in blocks:
            block.__enter__()
        connections = [stack.enter_context(listener.accept()[0]) for _ in range(3)]
        _answer(connections, 9)
        assert eventually(lambda: manager.stats().shown == 9)
        for block in reversed(blocks):
            block.__exit__(None, None, None)
        _answer(connections, 9)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert manager.close()


def _answer(connections: list[socket.socket], count: int) -> None:
    while count > 0:
        for connection in select.select(connections, [], [], PATIENCE)[0]:
            assert connection.recv(65536).endswith(b"\r\n\r\n")
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            count -= 1


# -- Processes


@OWN
@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit(0)",
        "threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(int, 1)], daemon=True).start()",
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    ],
    ids=["end of the script", "sys.exit", "beside a thread that computes", "SIGTERM"],
)
def test_the_last_stop_goes_out_however_a_process_exits(
    linq: Sandbox, asked: Asked, transport: TransportOption, ending: str
) -> None:
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import os, signal, sys, threading, time
        from linq_typing import configure, stats, typing_while
        configure(transport={transport!r})
        with typing_while("{chat}", stop_delay=60):
            while not stats().shown: time.sleep(0.01)
            {ending}
        """,
        host="localhost",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(chat) == ["start", "stop"]


@OWN
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("end", ["sys.exit(0)", "flush(60), os._exit(0)"])
def test_a_fork_in_the_midst_of_requests(linq: Sandbox, asked: Asked, transport: TransportOption, end: str) -> None:
    """Children use the parent's manager as it is, and exit; the parent's requests go on over the same connections."""
    parents, children = [linq.chat() for _ in range(8)], [linq.chat() for _ in range(3)]
    done = run(
        linq,
        f"""
        import contextlib, os, sys, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later: fork with threads
        from linq_typing import configure, flush, stats, typing_while
        configure(transport={transport!r}, stop_delay=0)
        def accepted(more):
            count = stats().requests.get("accepted", 0) + more
            while stats().requests.get("accepted", 0) < count: time.sleep(0.01)
        with contextlib.ExitStack() as stack:
            for chat in {parents!r}:
                stack.enter_context(typing_while(chat, refresh_interval=0.02))
            accepted(8)
            for chat in {children!r}:
                pid = os.fork()
                if pid == 0:
                    stack.pop_all()
                    with typing_while(chat):
                        while not stats().shown: time.sleep(0.01)
                    {end}
                assert os.waitpid(pid, 0)[1] == 0
                accepted(16)
        flush(60)
        print(*stats().requests)
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "accepted\n", "")
    assert [asked(chat) for chat in children] == [["start", "stop"]] * 3


# -- Choosing one


def test_the_fast_transport_names_the_package_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "linq_typing._engine.fast", None)
    with pytest.raises(ConfigurationError, match=r'pip install "linq-typing\[fast\]"'):
        TypingManager(transport="fast")


@pytest.mark.parametrize("transport", ["slow", 3, httpx_aiohttp])
def test_another_transport_is_a_type_error(transport: object) -> None:
    with pytest.raises(TypeError, match=r'transport must be "fast" or an httpx.AsyncBaseTransport, got '):
        TypingManager(transport=transport)  # type: ignore[arg-type]


def test_the_fast_transport_can_t_use_a_proxy_of_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ConfigurationError, match=r"proxy can't be used: .* 'socks5'"):
        TypingManager(api_key="k" * 8, base_url="https://api.example", transport="fast")
