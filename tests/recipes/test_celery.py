"""A Celery task: a real worker with the prefork pool, over a real Redis."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.kit import Example, assert_shown_until_the_message, settled, shape
from linq_typing.sandbox import Sandbox
from patience import PATIENCE
from sharing.servers import Server, executables

from .kit import need

need("celery", "redis", "linq")

from celery import Celery
from celery.result import AsyncResult

pytestmark = pytest.mark.skipif("redis" not in executables(), reason="redis-server is not on the PATH")

WORKER = "-A recipes.celery_task -b {} worker -Q {} -c 1 -I typing_before_fork --without-gossip --without-mingle"


@pytest.fixture(scope="module")
def linq() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def main_chat(linq: Sandbox) -> str:
    """The chat in which the main process of the test's own worker types."""
    return linq.chat()


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    server = Server(executables()["redis"])
    yield f"redis+socket://{server.socket}"
    server.close()


@pytest.fixture
def bot(broker: str) -> Iterator[Celery]:
    """Starts tasks by their names, as another program does."""
    with Celery(broker=broker, set_as_current=False) as app:
        yield app


def reply(bot: Celery, chat: str, queue: str = "shared") -> AsyncResult:
    return bot.send_task("recipes.celery_task.reply", [chat, "Hello"], queue=queue)


@contextmanager
def started(queue: str, linq: Sandbox, main_chat: str, broker: str, hold: Path) -> Iterator[Example]:
    arguments = WORKER.format(broker, queue).split()
    path = str(Path(__file__).parent)
    with Example("celery", linq, main_chat, hold, arguments=arguments, PYTHONPATH=path) as worker:
        yield worker


@pytest.fixture(scope="module")
def shared_worker(linq: Sandbox, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with started("shared", linq, linq.chat(), broker, tmp_path_factory.mktemp("worker") / "hold") as worker:
        yield worker


@pytest.fixture
def worker(linq: Sandbox, main_chat: str, broker: str, hold: Path) -> Iterator[Example]:
    """One that the test may end."""
    with started("own", linq, main_chat, broker, hold) as worker:
        yield worker


def test_a_task_types_until_its_message(shared_worker: Example, bot: Celery, linq: Sandbox, chat: str) -> None:
    reply(bot, chat)
    assert linq.wait_until(lambda: linq.visible(chat))
    shared_worker.hold.unlink()
    assert linq.wait_until(lambda: linq.messages(chat))
    timeline = settled(linq, chat)
    assert shape(timeline) == "start send"
    assert timeline.messages[0].text == "You said: Hello"
    assert_shown_until_the_message(timeline)


def test_a_task_that_fails_leaves_nothing(shared_worker: Example, bot: Celery, linq: Sandbox, chat: str) -> None:
    linq.fail("send", status=400, chat=chat)
    reply(bot, chat)
    assert linq.wait_until(lambda: linq.visible(chat))
    shared_worker.hold.unlink()
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send stop")


@pytest.mark.usefixtures("shared_worker")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=["soft time limit", "revoked"])
def test_a_task_that_is_interrupted_leaves_nothing(
    number: signal.Signals, bot: Celery, linq: Sandbox, chat: str
) -> None:
    """A soft time limit sends SIGUSR1 to the process of the task."""
    task = reply(bot, chat)
    assert linq.wait_until(lambda: linq.visible(chat))
    bot.control.revoke(task.id, terminate=True, signal=number.name)
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")


def test_a_warm_shutdown_sends_the_stops_that_are_left(
    worker: Example, bot: Celery, linq: Sandbox, chat: str, main_chat: str
) -> None:
    """A process of the pool exits without `atexit`, a second after it was told to. The stop is tried again later than
    that, and `worker_process_shutdown` waits for it."""
    linq.fail("send", status=400, chat=chat)
    linq.fail("stop", status=503, retry_after=2, times=1, chat=chat)
    reply(bot, chat, "own")
    assert linq.wait_until(lambda: linq.visible(chat) and linq.visible(main_chat))
    worker.hold.unlink()
    assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start send stop")
    worker.process.terminate()
    worker.process.communicate(timeout=PATIENCE)
    assert shape(settled(linq, chat)) == "start send stop stop"
    assert not linq.visible(main_chat)


def test_a_cold_shutdown_takes_the_indicator_down(worker: Example, bot: Celery, linq: Sandbox, chat: str) -> None:
    reply(bot, chat, "own")
    assert linq.wait_until(lambda: linq.visible(chat))
    worker.process.send_signal(signal.SIGQUIT)
    worker.process.communicate(timeout=PATIENCE)
    assert shape(settled(linq, chat)) == "start stop"
