"""The ends and beginnings of processes: interpreter exit, fork, threads that are still at work."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from linq_typing.sandbox import Sandbox
from patience import PATIENCE, PATIENT

from .kit import Asked, MakeManager, eventually, run


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_stops_go_out_at_interpreter_exit_and_nothing_is_printed(linq: Sandbox, asked: Asked, host: str) -> None:
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import time
        from linq_typing import stats, typing_while
        with typing_while("{chat}", stop_delay=60):
            while not stats().shown: time.sleep(0.01)
        """,
        host=host,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(chat) == ["start", "stop"]


def test_a_new_connection_by_name_at_exit_works_without_executors(linq: Sandbox, asked: Asked) -> None:
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import atexit, time
        from linq_typing import TypingManager
        manager = TypingManager()
        manager._engines._api._transport._headers["Connection"] = "close"
        with manager.typing_while("{chat}", stop_delay=60):
            while not manager.stats().shown: time.sleep(0.01)
        """,
        host="localhost",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(chat) == ["start", "stop"]


def test_the_sessions_of_daemon_threads_are_stopped_at_exit(linq: Sandbox, asked: Asked) -> None:
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import threading, time
        from linq_typing import configure, typing_while
        started = threading.Event()
        configure(on_event=lambda event: started.set())
        def work():
            with typing_while("{chat}"):
                time.sleep(60)
        threading.Thread(target=work, daemon=True).start()
        started.wait(60)
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(chat) == ["start", "stop"]


@pytest.mark.slow
def test_an_api_that_hangs_does_not_keep_the_process_from_exiting(linq: Sandbox) -> None:
    chat = linq.chat()
    linq.lose("stop", hang=True)
    done = run(
        linq,
        f"""
        import time
        from linq_typing import configure, stats, typing_while
        configure(timeout=600)
        with typing_while("{chat}", stop_delay=60):
            while not stats().shown: time.sleep(0.01)
        """,
        patient=False,
    )
    told = f"gave up the typing stop in chat {chat}\n"  # as logging shows a warning when nobody has set it up
    assert (done.returncode, done.stdout, done.stderr) == (0, "", told)
    linq.send_as_colleague(chat)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hanging",
    [
        "socket.getaddrinfo = lambda *args, **options: time.sleep(600)",
        "transport = type('Hanging', (httpx.AsyncBaseTransport,), {'handle_async_request': hang})()",
        "transport = type('Blocking', (httpx.AsyncBaseTransport,), {'handle_async_request': block})()",
    ],
    ids=["resolver", "transport", "blocking transport"],
)
def test_what_hangs_does_not_keep_the_process_from_exiting(linq: Sandbox, hanging: str) -> None:
    """asyncio's own threads for resolvers are joined before atexit, however long they take."""
    done = run(
        linq,
        f"""
        import asyncio, httpx, socket, time
        async def hang(self, request):
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
        async def block(self, request): time.sleep(600)
        transport = None
        from linq_typing import TypingManager
        {hanging}
        manager = TypingManager(transport=transport, timeout=600)
        with manager.typing_while("{linq.chat()}"):
            while not manager.stats().in_flight: time.sleep(0.01)
        """,
        host="localhost",
        patient=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files")
@pytest.mark.parametrize("left", range(8))
def test_no_file_left_at_first_use_costs_no_reply(linq: Sandbox, left: int) -> None:
    """EMFILE in the midst of making the thread, at each of its files: it is told, and works later."""
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import os, resource, time, logging, sys
        logging.basicConfig(format="%(levelname)s")
        from linq_typing import TypingManager, flush
        manager = TypingManager()
        used = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 20
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1 + {left}, hard))
        for _ in range(2):
            with manager.typing_while("{chat}", stop_delay=0) as session:
                print("body ran")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with manager.typing_while("{chat}") as session:
            deadline = time.monotonic() + 60
            while not manager.stats().requests.get("accepted") and time.monotonic() < deadline:
                time.sleep(0.01)
        print(manager.close())
        """,
    )
    assert (done.returncode, done.stdout) == (0, "body ran\nbody ran\nTrue\n")
    assert done.stderr.split() in ([], ["WARNING"], ["WARNING"] * 2)  # no thread, and the chat's first failed request
    assert not linq.visible(chat)


def test_a_session_of_a_thread_that_is_still_at_work_at_exit_starts_nothing_anew(linq: Sandbox) -> None:
    """Closing opens a manager for the next use; the end of the process does not."""
    chat, late = linq.chat(), linq.chat()
    done = run(
        linq,
        f"""
        import threading, time
        from linq_typing import typing_while
        def work():
            while True:
                with typing_while("{late}", stop_delay=0):
                    time.sleep(0.01)
        threading.Thread(target=work, daemon=True).start()
        with typing_while("{chat}"):
            time.sleep(0.5)
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert linq.wait_until(lambda: not linq.ghosts())


def test_entering_while_the_interpreter_exits_harms_nobody(linq: Sandbox) -> None:
    done = run(
        linq,
        f"""
        import atexit
        def late():
            with typing_while("{linq.chat()}"):
                print("body ran")
        atexit.register(late)
        from linq_typing import typing_while
        """,
        patient=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "body ran\n", "")


def test_importing_starts_no_thread(linq: Sandbox) -> None:
    done = run(
        linq,
        """
        import threading, linq_typing
        @linq_typing.typing_while
        def reply(chat_id): pass
        print([thread.name for thread in threading.enumerate()])
        with linq_typing.TypingManager().typing_while("4b9c3f5e-0000-4000-8000-000000000000"):
            print([(thread.name, thread.daemon) for thread in threading.enumerate()][1:])
        """,
    )
    assert done.stdout == "['MainThread']\n[('linq-typing', True)]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_starts_with_no_sessions_and_working_machinery(linq: Sandbox, asked: Asked) -> None:
    parent, child = linq.chat(), linq.chat()
    done = run(
        linq,
        f"""
        import os, sys, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later: fork with threads
        from linq_typing import current_session, stats, typing_while
        def accepted(count):
            while stats().requests.get("accepted", 0) < count: time.sleep(0.01)
        with typing_while("{parent}", refresh_interval=0.3) as session:
            accepted(1)
            pid = os.fork()
            if pid == 0:
                assert current_session() is None, current_session()
                session.pause(), session.mark_sent(), session.resume()
                with typing_while("{child}") as own:
                    assert current_session() is own
                    accepted(1)
                sys.exit(0)  # through the exits of both blocks, and atexit
            assert os.waitpid(pid, 0)[1] == 0
            accepted(3)  # it goes on being refreshed
        print("parent done")
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "parent done\n", "")
    assert asked(child) == ["start", "stop"]
    assert asked(parent)[-1] == "stop"
    assert asked(parent).count("stop") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.slow
def test_forking_in_the_midst_of_much_work_dead_locks_nobody(linq: Sandbox) -> None:
    chats = [linq.chat() for _ in range(8)]
    done = run(
        linq,
        f"""
        import os, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from linq_typing import typing_while, flush
        chats, over = {chats!r}, time.monotonic() + 4
        def work(chat):
            while time.monotonic() < over:
                with typing_while(chat, stop_delay=0):
                    time.sleep(0.01)
        threads = [threading.Thread(target=work, args=(chat,)) for chat in chats]
        for thread in threads: thread.start()
        pids = []
        while time.monotonic() < over - 1:
            pid = os.fork()
            if pid == 0:
                with typing_while(chats[0], stop_delay=0):
                    time.sleep(0.01)
                os._exit(0 if flush(60) else 3)
            pids.append(pid)
            time.sleep(0.1)
        print({{os.waitpid(pid, 0)[1] for pid in pids}})
        for thread in threads: thread.join()
        print(flush(60))
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{0}\nTrue\n", "")


_POOL = """
    with multiprocessing.get_context(method).Pool(2) as pool:
        pool.map(work, chats)
        pool.close()
        pool.join()
"""
_EXECUTOR = """
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        list(pool.map(work, chats))
"""
_PROCESS = """
    children = [multiprocessing.get_context(method).Process(target=work, args=(chat,)) for chat in chats]
    for child in children: child.start()
    for child in children: child.join()
"""


@pytest.mark.parametrize("way", [_POOL, _EXECUTOR, _PROCESS], ids=["Pool", "ProcessPoolExecutor", "Process"])
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_children_of_multiprocessing_finish_by_themselves(
    linq: Sandbox, asked: Asked, tmp_path: Path, way: str, method: str
) -> None:
    """They end without atexit; the stop is delayed, so that it has to be sent at their end."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    chats = [linq.chat() for _ in range(3)]
    script = tmp_path / "pool.py"  # a file: a spawned child imports it
    script.write_text(
        f"""
{PATIENT}
import concurrent.futures, multiprocessing, sys, time, warnings
from linq_typing import stats, typing_while
warnings.simplefilter("ignore", DeprecationWarning)
def work(chat):
    before = stats().requests.get("accepted", 0)
    with typing_while(chat, stop_delay=60):
        while stats().requests.get("accepted", 0) == before: time.sleep(0.01)
if __name__ == "__main__":
    chats, method = {chats!r}, {method!r}
    with typing_while("{linq.chat()}"):  # the parent's own
        pass
{way}
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **linq.env()},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [asked(chat) for chat in chats] == [["start", "stop"]] * 3


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.parametrize("used", ["before", "after"], ids=["used before the work has ended", "used only after"])
def test_threads_that_outlast_a_child_of_multiprocessing_leave_no_ghost(linq: Sandbox, used: str) -> None:
    """Its finalizers run before those threads end: from then on there are no indicators in it."""
    chat = linq.chat()
    done = run(
        linq,
        f"""
        import multiprocessing, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from linq_typing import typing_while
        def outlast():
            time.sleep(0 if "{used}" == "before" else 0.5)
            for _ in range(3):
                with typing_while("{chat}", stop_delay=60):
                    time.sleep(0.3)
        def work():
            threading.Thread(target=outlast).start()
            time.sleep(0.2)
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert linq.wait_until(lambda: not linq.ghosts())


def test_multiprocessing_workers_have_their_own_machinery(linq: Sandbox, asked: Asked) -> None:
    chats = [linq.chat() for _ in range(3)]
    done = run(
        linq,
        f"""
        import multiprocessing, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from linq_typing import flush, stats, typing_while
        def work(chat):
            with typing_while(chat):
                while not stats().shown: time.sleep(0.01)
            return flush(60)
        if __name__ == "__main__":
            with typing_while("{linq.chat()}"):
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    print(pool.map(work, {chats!r}))
        """,
    )
    assert (done.returncode, done.stdout) == (0, "[True, True, True]\n"), done.stderr
    assert [asked(chat) for chat in chats] == [["start", "stop"]] * 3


def test_a_caller_that_computes_does_not_keep_the_first_request_from_going_out(linq: Sandbox, asked: Asked) -> None:
    chat = linq.chat()
    done = run(
        linq,
        f"""
        from linq_typing import stats, typing_while
        with typing_while("{chat}"):
            while not stats().shown:  # for ever, if that depended on a pause of this thread
                sum(range(1000))
        """,
    )
    assert done.stderr == ""
    assert asked(chat) == ["start", "stop"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12 and later: fork with threads
def test_a_transport_of_the_users_is_not_shared_with_a_forked_child(linq: Sandbox, make_manager: MakeManager) -> None:
    asked_in: list[int] = []

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked_in.append(os.getpid())
            return httpx.Response(204)

    chat, manager = linq.chat(), make_manager(transport=Transport())
    with manager.typing_while(chat):
        assert eventually(lambda: asked_in)
    pid = os.fork()
    if pid == 0:
        with manager.typing_while(chat) as session:
            os._exit(session.error is None)
    assert os.waitpid(pid, 0)[1] == 0
    assert set(asked_in) == {os.getpid()}
