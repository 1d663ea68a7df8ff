"""`sandbox()`: a sandbox that the library and the official SDK talk to inside a block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

import linq_typing
from linq_typing._default import default_manager
from linq_typing._linq import SETTLE
from linq_typing._manager import managers_from_environment
from linq_typing._settings import ENABLED_VARIABLE, HTTP, OPTIONS, REDIS_URL_VARIABLE, from_environment
from linq_typing.sandbox import Sandbox
from linq_typing.testing._ghosts import assert_no_ghost

TIME_SCALE: Final = 10.0

_NO_PROXY: Final = ("NO_PROXY", "no_proxy")
_port = 0  # of the first sandbox; the next ones use it again, so that clients made at import reach them


@contextmanager
def sandbox(*, time_scale: float = TIME_SCALE, **options: Any) -> Iterator[Sandbox]:
    """A sandbox that `typing_while`, and every client made inside the block, talk to.

        with sandbox() as linq:
            chat = linq.chat()
            my_bot.reply(chat, "hello")
            assert linq.messages(chat)

    Inside the block, the environment variables for the key, the base URL and the proxy exceptions point at the sandbox.
    The process-wide manager is replaced with one with default settings in the sandbox's time, and afterwards with one
    from the environment. Every other `TypingManager` whose key or base URL comes from the environment, created before
    or inside the block, talks to the sandbox too, with its durations divided by `time_scale`; one with an explicit key
    and base URL is left alone. If the block ends without an exception, it flushes, and raises `GhostError` if an
    indicator is left showing.

    Parameters:
        time_scale: the simulation speed (1: real time), for the sandbox and for the process-wide manager: `stop_delay`,
            `refresh_interval`, `max_duration`, `settle` and `backoff_max` are their defaults divided by it.
        options: for `Sandbox`.
    """
    with pointed_at_sandbox(time_scale=time_scale, **options) as linq:
        yield linq
        assert_no_ghost(linq)


@contextmanager
def pointed_at_sandbox(*, time_scale: float = TIME_SCALE, **options: Any) -> Iterator[Sandbox]:
    """`sandbox()`, but without looking for ghosts."""
    with ExitStack() as undo:
        linq = _started(time_scale, options)
        undo.callback(linq.stop)
        undo.callback(_reset_manager)
        undo.enter_context(_environment(_variables(linq)))
        credentials = from_environment().checked()
        for manager in managers_from_environment():
            undo.enter_context(manager._pointed_at(credentials, time_scale))
        linq_typing.configure(**_scaled(time_scale))
        yield linq


def _started(time_scale: float, options: Mapping[str, Any]) -> Sandbox:
    """A running sandbox, on the port of the first one if that is free."""
    global _port
    try:
        linq = Sandbox(**{"time_scale": time_scale, "port": _port, **options}).start()
    except OSError:
        if "port" in options:
            raise
        return Sandbox(**{"time_scale": time_scale, **options}).start()
    _port = urlsplit(linq.base_url).port or 0
    return linq


def _variables(linq: Sandbox) -> dict[str, str]:
    host = urlsplit(linq.base_url).hostname or ""
    direct = {name: ",".join(filter(None, (os.environ.get(name), host))) for name in _NO_PROXY}
    return {**linq.env(), **direct, ENABLED_VARIABLE: "1", REDIS_URL_VARIABLE: ""}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _scaled(time_scale: float) -> dict[str, Any]:
    """The library's defaults in the sandbox's time."""
    options, http = OPTIONS.scaled(time_scale), HTTP.scaled(time_scale)
    return {**asdict(options), **asdict(http), "enabled": True, "settle": SETTLE / time_scale}


def _reset_manager() -> None:
    """Replace it with one from the restored environment, through `configure`, so that watched clients stay watched."""
    last = default_manager()
    try:
        linq_typing.configure()
    finally:
        last.close()  # while the sandbox still accepts its stops
