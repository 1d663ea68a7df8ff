"""A child process under a typing indicator, and signals passed on to it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

from linq_typing import TypingManager
from linq_typing._settings import Credentials, enabled_by_environment
from linq_typing.commands._access import access
from linq_typing.commands._one_request import complain

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
BY_SIGNAL: Final = 128

_PASSED_ON: Final = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_FROM_KEYS: Final = ("SIGINT", "SIGQUIT")


def run_typing(
    chat_id: str, arguments: Sequence[str], api_key: str | None, base_url: str | None, options: Mapping[str, Any]
) -> int:
    """Run the command while the indicator shows. Returns the exit status, as a shell would."""
    used = access(api_key, base_url).credentials if enabled_by_environment() else Credentials()
    # No stop_delay: what the command sends can't be seen from here.
    manager = TypingManager(api_key=used.api_key, base_url=used.base_url, stop_delay=0)
    with Relay() as relay, manager:
        try:
            child = relay.start(arguments)  # first: for a command that does not exist nothing is to be shown
        except (FileNotFoundError, NotADirectoryError):
            return complain(f"{arguments[0]}: command not found", NOT_FOUND)
        except OSError as error:
            return complain(f"{arguments[0]}: {error.strerror or error}", NOT_EXECUTABLE)
        with manager.typing_while(chat_id, **options):
            status = child.wait()
    return status if status >= 0 else BY_SIGNAL - status


class Relay:
    """Passes signals on to a child that it starts. To be entered in the main thread."""

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

    def __enter__(self) -> Relay:
        for name in _PASSED_ON:
            number = getattr(signal, name, None)
            # What is ignored stays so, for the child too: nohup, and the background jobs of scripts.
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
        elif signal.Signals(number).name not in _FROM_KEYS or not _has_the_keyboard():
            self._child.send_signal(number)  # else the terminal has told it itself


def _has_the_keyboard() -> bool:
    """Whether keys such as Ctrl-C go to this process and its children."""
    if not hasattr(os, "tcgetpgrp"):
        return True  # Windows: to all processes of the console
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
