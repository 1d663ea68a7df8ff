"""For all tests."""

import contextvars
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from linq_typing._session import stack
from linq_typing.sandbox._simulation import Simulation

#: The `timeout` of `wait_until` in all tests, in seconds. It only guards against hanging: no test may fail because the
#: machine is busy.
Simulation.wait_until.__defaults__ = (60.0,)

settings.register_profile("busy machine", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

#: They start processes, browsers or whole runs of pytest, and depend little on the interpreter.
SLOW_FOLDERS = {"browser", "examples", "recipes", "testing"}


def pytest_configure() -> None:
    """Let the processes that tests start react to signals that this one ignores, as under nohup or in a background job.

    They inherit that a signal is ignored, but not a handler.
    """
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def threads_inherit_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get the context of their starter, as tracing tools have it, and free-threaded Python 3.14."""
    start, run = threading.Thread.start, threading.Thread.run

    def start_here(thread: threading.Thread) -> None:
        context = contextvars.copy_context()
        thread.run = lambda: context.run(run, thread)  # type: ignore[method-assign]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_here)


@pytest.fixture(autouse=True)
def _no_session_of_another_test() -> None:
    """pytest runs all tests in one context, and some leave their sessions elsewhere on purpose."""
    stack.set(None)
