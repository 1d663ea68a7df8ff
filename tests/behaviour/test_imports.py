"""What is imported with the first manager or decorated function, while other threads do something else."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

CHAT = "11111111-2222-4333-8444-555555555555"

PREAMBLE = f"""
    import faulthandler, importlib.abc, os, sys, threading, time
    faulthandler.dump_traceback_later(20, exit=True)
    os.environ["LINQ_API_KEY"], os.environ["LINQ_API_V3_BASE_URL"] = "key-0123456789", "http://127.0.0.1:9"
    import logging
    from linq_typing import flush, typing_while

    class Slow(importlib.abc.MetaPathFinder):
        def __init__(self, name, seconds): self.name, self.seconds = name, seconds
        def find_spec(self, name, path=None, target=None):
            if name == self.name:
                time.sleep(self.seconds)

    def first_session():
        with typing_while("{CHAT}"):
            pass
"""


def _run(program: str) -> subprocess.CompletedProcess[str]:
    program = textwrap.dedent(PREAMBLE) + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_fork_in_the_midst_of_a_long_import_harms_no_child() -> None:
    """The child would wait for ever for a module that no thread of it imports. It does without indicators."""
    done = _run(
        """
        sys.meta_path.insert(0, Slow("tenacity", 2.0))
        threading.Thread(target=first_session, daemon=True).start()
        time.sleep(0.3)
        if os.fork() == 0:
            first_session()
            @typing_while
            def reply(chat_id): return "replied"
            print(reply("11111111-2222-4333-8444-555555555555"), flush=True)
            os._exit(0)
        print(os.wait()[1], flush=True)
        os._exit(0)
        """
    )
    assert done.stdout.split() == ["replied", "0"]
    assert done.stderr.count("no typing indicators in this process") == 1


def test_decorating_waits_for_nobody_who_waits_for_it() -> None:
    """logging.config imports handlers under logging's lock, which what we import asks for."""
    done = _run(
        """
        sys.meta_path.insert(0, Slow("tenacity", 0.5))
        session = threading.Thread(target=first_session)
        logging._acquireLock() if hasattr(logging, "_acquireLock") else logging._lock.acquire()
        session.start()
        time.sleep(0.2)
        @typing_while
        def reply(chat_id): pass
        logging._releaseLock() if hasattr(logging, "_releaseLock") else logging._lock.release()
        session.join()
        print("done", flush=True)
        os._exit(0)
        """
    )
    assert done.stdout == "done\n", done.stderr
