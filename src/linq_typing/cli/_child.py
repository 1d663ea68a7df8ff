"""A child process under a typing indicator, with signals passed on to it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

from linq_typing import TypingManager
from linq_typing._settings import Credentials, enabled_by_environment
from linq_typing.cli._access import access
from linq_typing.cli._status import BY_SIGNAL, NOT_EXECUTABLE, NOT_FOUND, complain

_PASSED_ON: Final = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_KEYS: Final = ("SIGINT", "SIGQUIT")


def run_typing(
    chat_id: str, arguments: Sequence[str], api_key: str | None, base_url: str | None, options: Mapping[str, Any]
) -> int:
    """Run the command while the indicator shows. Returns the exit status, as a shell would."""
    used = access(api_key, base_url).credentials if enabled_by_environment() else Credentials()
    # No stop_delay: the library can't see the messages that the command sends.
    manager = TypingManager(api_key=used.api_key, base_url=used.base_url, stop_delay=0)
    with SignalRelay() as relay, manager:
        try:
            child = relay.start(arguments)  # before the session, so that a missing command shows nothing
        except (FileNotFoundError, NotADirectoryError):
            return complain(f"{arguments[0]}: command not found", NOT_FOUND)
        except OSError as error:
            return complain(f"{arguments[0]}: {error.strerror or error}", NOT_EXECUTABLE)
        with manager.typing_while(chat_id, **options):
            status = child.wait()
    return status if status >= 0 else BY_SIGNAL - status


class SignalRelay:
    """Starts a child and passes signals on to it. Must be entered in the main thread."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the child."""
        self._child = subprocess.Popen(arguments)
        for number in self._early:
            self._child.send_signal(number)
        return self._child

    def __enter__(self) -> SignalRelay:
        for name in _PASSED_ON:
            number = getattr(signal, name, None)
            # A signal that is ignored, as under nohup or in a script's background job, stays so, in the child too.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        elif signal.Signals(number).name not in _FROM_KEYS or not _in_foreground():
            self._child.send_signal(number)  # otherwise the terminal has sent it to the child too


def _in_foreground() -> bool:
    """Whether the terminal sends the signals of keys such as Ctrl-C to this process and its children."""
    if not hasattr(os, "tcgetpgrp"):
        return True  # Windows: the console sends them to all its processes
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
