"""Waiting for the library's thread: from plain code, under asyncio and under trio."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest
import trio

from linq_typing._waiting import wait_for, wait_for_async


def _later(seconds: float, result: bool = True) -> Future[bool]:
    done: Future[bool] = Future()
    timer = threading.Timer(seconds, done.set_result, [result])
    timer.daemon = True
    timer.start()
    return done


def _ready(result: bool = True) -> Future[bool]:
    done: Future[bool] = Future()
    done.set_result(result)
    return done


def _in_asyncio(done: Future[bool], timeout: float) -> bool:
    return asyncio.run(wait_for_async(done, timeout))


def _in_trio(done: Future[bool], timeout: float) -> bool:
    return trio.run(wait_for_async, done, timeout)


def _shielded_in_trio(done: Future[bool], timeout: float) -> bool:
    async def main() -> bool:
        return await wait_for_async(done, timeout, shield=True)

    return trio.run(main)


Way = Callable[[Future[bool], float], bool]
ways = pytest.mark.parametrize("way", [wait_for, _in_asyncio, _in_trio, _shielded_in_trio])


@ways
@pytest.mark.parametrize("result", [True, False])
def test_the_result_is_passed_on(way: Way, result: bool) -> None:
    """Ready or soon to be."""
    assert way(_ready(result), 1.0) is result
    assert way(_later(0.02, result), 2.0) is result


@ways
def test_what_takes_too_long_is_false(way: Way) -> None:
    """No exception: the caller goes on."""
    began = time.monotonic()
    assert way(Future(), 0.05) is False
    assert 0.04 < time.monotonic() - began < 1.0


@ways
def test_no_time_at_all_still_sees_what_is_ready(way: Way) -> None:
    """flush(0) asks without waiting."""
    assert way(_ready(), 0.0) is True
    assert way(Future(), 0.0) is False


def test_an_asyncio_loop_goes_on_meanwhile() -> None:
    """Others run while one waits."""

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        task = asyncio.create_task(tick())
        assert await wait_for_async(_later(0.06), 2.0)
        task.cancel()
        assert ticks >= 3

    asyncio.run(main())


def test_a_trio_loop_goes_on_meanwhile() -> None:
    """Others run while one waits."""

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await trio.sleep(0.005)
                ticks += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            assert await wait_for_async(_later(0.06), 2.0)
            nursery.cancel_scope.cancel()
        assert ticks >= 3

    trio.run(main)


def test_cancelling_in_asyncio_ends_the_wait() -> None:
    """A cancelled task does not linger."""

    async def main() -> None:
        task = asyncio.create_task(wait_for_async(Future(), 60.0))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_cancelling_in_trio_ends_the_wait() -> None:
    """Without a shield, at once; the thread that waits is left to itself."""
    done: Future[bool] = Future()

    async def main() -> None:
        with trio.move_on_after(0.02) as scope:
            await wait_for_async(done, 60.0)
        assert scope.cancelled_caught

    began = time.monotonic()
    trio.run(main)
    assert time.monotonic() - began < 2.0
    done.set_result(True)  # lets the thread end


def test_a_shielded_wait_goes_on_in_a_cancelled_trio_scope() -> None:
    """Leaving a cancelled block still waits for the stop, as ``wait_on_exit`` promises."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            answers.append(await wait_for_async(_later(0.05), 2.0, shield=True))

    answers: list[bool] = []
    trio.run(main)
    assert answers == [True]


def test_a_late_answer_to_a_wait_that_was_given_up_harms_nobody() -> None:
    """Python 3.10's asyncio.TimeoutError is another one than 3.11's, and wait_for cancels what it waited for."""

    async def main(done: Future[bool]) -> None:
        assert await wait_for_async(done, 0.01) is False

    done: Future[bool] = Future()
    asyncio.run(main(done))
    assert done.cancelled() or not done.done()


def test_trio_as_the_guest_of_an_asyncio_loop() -> None:
    """The running loop is asyncio's, the task is trio's."""

    async def host() -> bool:
        over: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        trio.lowlevel.start_guest_run(
            wait_for_async,
            _later(0.02),
            2.0,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=over.set_result,
        )
        outcome = await over
        return bool(outcome.unwrap())  # type: ignore[attr-defined]

    assert asyncio.run(host()) is True
