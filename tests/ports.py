"""Ports that no other process takes meanwhile: tests run beside each other, and servers take ports all the time."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port(port: int = 0) -> Iterator[int]:
    """A free port (or this one). Until a server that sets SO_REUSEADDR listens on it, connections are refused.

    Only Linux lets a server listen beside the socket that reserves the port; elsewhere it is not reserved.
    """
    with socket.socket() as reserving:
        reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserving.bind(("127.0.0.1", port))
        number: int = reserving.getsockname()[1]
        if sys.platform != "linux":
            reserving.close()
        yield number
