"""The server around the API: starting, stopping, threads, and what is printed (nothing)."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import linq_typing.sandbox
from linq_typing.sandbox import Faults, Model, Sandbox, create_app
from linq_typing.sandbox._faults import Loss
from patience import PATIENCE
from ports import reserved_port

from .kit import client, run, start, stop


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "linq-sandbox"]


def test_names_are_sorted_and_there() -> None:
    names = linq_typing.sandbox.__all__
    assert names == sorted(names)
    assert all(hasattr(linq_typing.sandbox, name) for name in names)


def test_start_and_stop_are_idempotent() -> None:
    linq = Sandbox()
    assert linq.start() is linq.start() is linq
    assert threads() == ["linq-sandbox"]
    linq.stop()
    linq.stop()
    assert threads() == []


def test_restart_keeps_the_port_and_the_chats() -> None:
    with Sandbox() as linq, client(linq) as http:
        chat, url = linq.chat(), linq.base_url
        start(http, chat)
        linq.stop()
        with reserved_port(int(url.split(":")[2].split("/")[0])):
            with pytest.raises(httpx.ConnectError):
                start(http, chat)
            assert linq.visible(chat), "what happened can be read while it is stopped"
            linq.start()
        assert linq.base_url == url
        assert start(http, chat).status_code == 204
    assert len(linq.timeline(chat).starts) == 2


def test_stop_does_not_wait_for_hanging_or_slow_requests() -> None:
    with Sandbox() as linq, client(linq) as http, ThreadPoolExecutor(2) as pool:
        chat = linq.chat()
        linq.lose("start", times=1, hang=True)
        linq.slow("start", before=3600)
        calls = [pool.submit(start, http, chat, timeout=None) for _ in range(2)]
        assert linq.wait_until(lambda: len(linq.requests) == 2)
        linq.stop()
        assert all(isinstance(call.exception(PATIENCE), httpx.TransportError) for call in calls)


def test_port_that_is_taken_raises_in_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        linq = Sandbox(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            linq.start()
    assert threads() == []


def test_base_url_before_the_first_start() -> None:
    with pytest.raises(RuntimeError, match="no port yet"):
        Sandbox().base_url  # noqa: B018
    assert Sandbox(port=8123).base_url == "http://127.0.0.1:8123/api/partner"


def test_env_and_repr() -> None:
    with Sandbox(api_key="my-key") as linq:
        assert linq.env() == {"LINQ_API_V3_API_KEY": "my-key", "LINQ_API_V3_BASE_URL": linq.base_url}
        linq.chat()
        assert repr(linq) == f"<Sandbox {linq.base_url}, 1 chats>"
    assert repr(linq) == "<Sandbox stopped, 1 chats>"


def test_two_sandboxes_at_once_share_nothing() -> None:
    with Sandbox() as one, Sandbox() as two, client(one) as http:
        assert start(http, one.chat()).status_code == 204
        assert two.requests == ()


def test_many_threads_at_once() -> None:
    """Every request is logged once, and accessors may be called in the meantime."""
    with Sandbox() as linq, ThreadPoolExecutor(8) as pool:
        chats = [linq.chat() for _ in range(8)]
        linq.slow("typing", after=(0, 0.005), rate=0.3)

        def caller(chat: str) -> None:
            with client(linq) as http:
                for _ in range(25):
                    start(http, chat)
                    assert linq.visible(chat)
                    stop(http, chat)
                    assert not linq.visible(chat)
                    linq.ghosts()

        list(pool.map(caller, chats))
        assert [r.id for r in linq.requests] == list(range(1, 8 * 50 + 1))
        assert all(r.status == 204 for r in linq.requests)
        assert {linq.timeline(chat).max_typing_in_flight for chat in chats} == {1}


QUIET = """
    import logging, httpx
    from linq_typing.sandbox import Sandbox
    logging.basicConfig(level=logging.DEBUG if {debug} else logging.WARNING)
    logging.getLogger("httpx").disabled = logging.getLogger("httpcore").disabled = True
    for name in ("httpcore.connection", "httpcore.http11"):
        logging.getLogger(name).disabled = True
    for _ in range(2):
        linq = Sandbox().start()
        chat = linq.chat()
        linq.lose("start", times=1)
        linq.lose("start", times=1, hang=True)
        linq.slow("start", before=30, times=1)
        headers = {{"Authorization": "Bearer sandbox-key"}}
        url = f"{{linq.base_url}}/v3/chats/{{chat}}/typing"
        with httpx.Client(headers=headers, timeout=60) as client:
            for count in range(1, 4):
                try:
                    client.post(url, timeout=httpx.Timeout(60, read=0.05))
                except httpx.TransportError:
                    pass
                assert linq.wait_until(lambda: len(linq.requests) == count, 60)
            client.post(url)
            if {stop}:
                linq.stop()
"""


@pytest.mark.parametrize(("debug", "stop"), [(False, True), (False, False), (True, True)])
def test_nothing_is_printed_under_dev_mode_with_warnings_as_errors(debug: bool, stop: bool) -> None:
    """Lost, hanging and slow requests; stopped, or left to the end of the interpreter; any log level."""
    done = run(QUIET.format(debug=debug, stop=stop), "-W", "error", "-X", "dev")
    noise = [line for line in done.stderr.splitlines() if not line.startswith("DEBUG:asyncio:Using selector")]
    assert (done.returncode, done.stdout, noise) == (0, "", [])


def test_uvicorns_logging_is_left_as_it_was() -> None:
    program = """
        import logging
        from linq_typing.sandbox import Sandbox
        loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
        state = lambda: [(logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
        before = state()
        with Sandbox():
            assert state() == before
    """
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_error_says_what_to_install(missing: str) -> None:
    program = f"""
        import sys
        sys.modules["{missing}"] = None
        try:
            import linq_typing.sandbox
        except ImportError as error:
            assert 'pip install "linq-typing[sandbox]"' in str(error), error
        else:
            raise SystemExit("it was imported")
    """
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lost_answer_reaches_the_client_although_a_forked_child_has_the_socket() -> None:
    program = """
        import os, signal, httpx
        from linq_typing.sandbox import Sandbox
        with Sandbox() as linq, httpx.Client(headers={"Authorization": "Bearer sandbox-key"}, timeout=60) as client:
            url = f"{linq.base_url}/v3/chats/{linq.chat()}/typing"
            client.post(url)
            child = os.fork()
            if not child:
                signal.pause()
            linq.lose("start")
            try:
                client.post(url)
            except httpx.TransportError as error:
                print(type(error).__name__)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    """
    done = run(program)
    assert done.stdout.strip() in ("RemoteProtocolError", "ReadError"), done.stderr


def test_plain_asgi_app_without_a_server() -> None:
    """The application may be mounted elsewhere; there a lost answer is an error in the application."""
    model, faults = Model(), Faults()
    chat = model.add_chat(active=True)
    transport = httpx.ASGITransport(create_app(model, faults=faults, api_key="k"))

    async def main() -> None:
        headers = {"Authorization": "Bearer k"}
        async with httpx.AsyncClient(transport=transport, base_url="http://x/api/partner", headers=headers) as c:
            assert (await c.post(f"/v3/chats/{chat.id}/typing")).status_code == 204
            assert model.visible(chat)
            faults.add(Loss(), "start")
            with pytest.raises(ConnectionResetError):
                await c.post(f"/v3/chats/{chat.id}/typing")

    asyncio.run(main())


def test_stopping_while_clients_connect_leaves_no_socket_open() -> None:
    """Not even one that was just accepted: an unclosed socket would be a ResourceWarning, which fails the test."""
    for _ in range(20):
        connected, stopped = threading.Event(), threading.Event()
        with Sandbox() as sandbox:
            address = ("127.0.0.1", int(sandbox.base_url.split(":")[2].split("/")[0]))
            thread = threading.Thread(target=_connect_repeatedly, args=(address, connected, stopped))
            thread.start()
            assert connected.wait(PATIENCE)
        stopped.set()
        thread.join()
    gc.collect()


def _connect_repeatedly(address: tuple[str, int], connected: threading.Event, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            with socket.create_connection(address, PATIENCE):
                connected.set()
                time.sleep(0.0005)
        except OSError:
            time.sleep(0.001)
