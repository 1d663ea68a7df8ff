"""Waiting for the library's thread: from plain code, under asyncio and under trio."""

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from linq_typing._engine.waiting import Completion, wait_for_async
from patience import PATIENCE


def _later(seconds: float, result: bool = True) -> Completion:
    done = Completion()
    timer = threading.Timer(seconds, done.set, [result])
    timer.daemon = True
    timer.start()
    return done


def _ready(result: bool = True) -> Completion:
    done = Completion()
    done.set(result)
    return done


def _in_asyncio(done: Completion, timeout: float) -> bool:
    return asyncio.run(wait_for_async(done, timeout))


def _in_trio(done: Completion, timeout: float) -> bool:
    return trio.run(wait_for_async, done, timeout)


def _shielded_in_trio(done: Completion, timeout: float) -> bool:
    async def main() -> bool:
        return await wait_for_async(done, timeout, shield=True)

    return trio.run(main)


Way = Callable[[Completion, float], bool]
ways = pytest.mark.parametrize("way", [Completion.wait, _in_asyncio, _in_trio, _shielded_in_trio])


@ways
@pytest.mark.parametrize("result", [True, False])
def test_the_result_is_passed_on(way: Way, result: bool) -> None:
    """Ready or soon to be."""
    assert way(_ready(result), 60.0) is result
    assert way(_later(0.02, result), 60.0) is result


@ways
def test_what_takes_too_long_is_false(way: Way) -> None:
    """No exception: the caller goes on."""
    began = time.monotonic()
    assert way(Completion(), 0.05) is False
    assert time.monotonic() - began > 0.04


@ways
def test_no_time_at_all_still_sees_what_is_ready(way: Way) -> None:
    """flush(0) asks without waiting."""
    assert way(_ready(), 0.0) is True
    assert way(Completion(), 0.0) is False


@pytest.mark.parametrize("timeout", [1e300, math.inf])
def test_there_is_no_longest_timeout(timeout: float) -> None:
    """Locks refuse to wait for more than some centuries."""
    assert _later(0.01).wait(timeout) is True


def test_all_who_wait_are_told() -> None:
    """One after the other."""
    done, told = Completion(), threading.Semaphore(0)
    for _ in range(3):
        threading.Thread(target=lambda: done.wait(math.inf) and told.release(), daemon=True).start()
    done.set(True)
    assert all(told.acquire(timeout=PATIENCE) for _ in range(3))


def test_what_is_done_holds_nobody_up() -> None:
    """Even if an exception struck a waiting caller before it could let the next one pass."""
    done = Completion()
    assert done._pending.locked()
    done.result = True
    assert done.wait(math.inf) is True


def test_a_wait_that_is_given_up_where_no_loop_runs_is_false() -> None:
    """As when a generator-based framework closes the coroutine of a block."""
    with pytest.raises(StopIteration) as ended:
        wait_for_async(Completion(), 60.0).send(None)
    assert ended.value.value is False


def test_trio_is_not_imported_for_those_who_do_not_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may not even be installed."""
    monkeypatch.delitem(sys.modules, "trio")
    assert _in_asyncio(_later(0.01), 60.0) is True
    assert "trio" not in sys.modules


def test_an_asyncio_loop_goes_on_meanwhile() -> None:
    """Others run while one waits."""

    async def main() -> None:
        done = Completion()

        async def tick() -> None:
            for _ in range(3):
                await asyncio.sleep(0.001)
            done.set(True)

        task = asyncio.create_task(tick())
        assert await wait_for_async(done, 60.0)
        await task

    asyncio.run(main())


def test_a_trio_loop_goes_on_meanwhile() -> None:
    """Others run while one waits."""

    async def main() -> None:
        done = Completion()

        async def tick() -> None:
            for _ in range(3):
                await trio.sleep(0.001)
            done.set(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            assert await wait_for_async(done, 60.0)

    trio.run(main)


def test_cancelling_in_asyncio_ends_the_wait() -> None:
    """A cancelled task does not linger."""

    async def main() -> None:
        task = asyncio.create_task(wait_for_async(Completion(), 60.0))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_cancelling_in_trio_ends_the_wait() -> None:
    """Without a shield, at once; the thread that waits is left to itself."""
    done = Completion()

    async def main() -> None:
        with trio.move_on_after(0.02) as scope:
            await wait_for_async(done, 60.0)
        assert scope.cancelled_caught

    trio.run(main)
    done.set(True)  # lets the thread end


def test_a_shielded_wait_goes_on_in_a_cancelled_trio_scope() -> None:
    """Leaving a cancelled block still waits for the stop, as ``wait_on_exit`` promises."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            answers.append(await wait_for_async(_later(0.05), 60.0, shield=True))

    answers: list[bool] = []
    trio.run(main)
    assert answers == [True]


def test_a_late_answer_to_a_wait_that_was_given_up_harms_nobody() -> None:
    """Python 3.10's asyncio.TimeoutError is another one than 3.11's, and wait_for cancels what it waited for."""

    async def main(done: Completion) -> None:
        assert await wait_for_async(done, 0.01) is False

    done = Completion()
    asyncio.run(main(done))
    done.set(True)  # the loop that waited is closed
    assert done.result is True


def test_the_first_result_counts() -> None:
    """A close that timed out is told the truth later; who asked first has heard it."""
    heard: list[bool] = []
    done = Completion()
    done.add_callback(heard.append)
    done.set(False)
    done.set(True)
    done.add_callback(heard.append)
    assert (done.result, heard) == (False, [False, False])


def test_what_strikes_a_waiting_caller_never_blocks_who_sets_it() -> None:
    """Struck at each line of the wait: the library's thread says its word all the same, and others hear it."""

    class Struck(Exception):  # noqa: N818 - it is no error
        pass

    def struck_at(count: int) -> bool:
        left = count

        def trace(frame: Any, event: str, arg: object) -> Any:
            nonlocal left
            if frame.f_code is not Completion.wait.__code__:
                return None
            left -= event == "line"
            if left == 0:
                raise Struck
            return trace

        done, setter = Completion(), None
        if count % 2:  # set while it is waited for, or before
            setter = threading.Timer(0.01, done.set, [True])
            setter.start()
        else:
            done.set(True)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            done.wait(60.0)
        except Struck:
            pass
        finally:
            sys.settrace(before)
        if setter is not None:
            setter.join(60.0)
            assert not setter.is_alive()
        assert done.wait(60.0)
        return left <= 0

    assert struck_at(1)
    assert [struck_at(count) for count in range(1, 8)].count(False) > 0


def test_trio_as_the_guest_of_an_asyncio_loop() -> None:
    """The running loop is asyncio's, the task is trio's."""

    async def host() -> bool:
        over: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        trio.lowlevel.start_guest_run(
            wait_for_async,
            _later(0.02),
            60.0,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=over.set_result,
        )
        outcome = await over
        return bool(outcome.unwrap())  # type: ignore[attr-defined]

    assert asyncio.run(host()) is True
