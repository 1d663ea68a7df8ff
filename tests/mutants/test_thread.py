"""Bugs in the library's thread, in what there is once per process, and in waiting for it."""

from indicator.mutants import Mutant

from .kit import Group, test_is_noticed, test_without_a_bug_all_tests_pass  # noqa: F401 - the same for all

GROUPS = (
    Group(
        "_engine/loop.py",
        ("tests/unit/test_loop.py",),
        (
            Mutant(
                "a call that raises ends the thread",
                "except BaseException:  # noqa: BLE001 - whatever",
                "except OSError:  # whatever",
            ),
            Mutant("a look that does not wait counts as a sleep", "        if timeout != 0:", "        if True:"),
            Mutant("a forked child wakes its parent's loop", "        if self.dead:\n            return\n", ""),
            Mutant(
                "residents are not asked to finish", "for resident in list(self._residents)]", "for resident in ()]"
            ),
            Mutant(
                "the loop of a thread that still runs is closed",
                "        if not self._thread.is_alive():\n",
                "        if True:\n",
            ),
            Mutant(
                "a thread whose loop has ended looks alive",
                "            self.dead = True  # whatever",
                "            pass  # whatever",
            ),
        ),
    ),
    Group(
        "_engine/process.py",
        ("tests/unit/test_process.py",),
        (
            Mutant(
                "each of those who use it first starts a thread",
                "            if thread is None or thread.dead:\n                if",
                "            if True:\n                if",
            ),
            Mutant("a thread that is shutting down is given out", "    if _exiting:\n        return None\n", ""),
            Mutant(
                "a thread starts after the exit has begun",
                "return _exiting or (util is not None",
                "return (util is not None",
            ),
            Mutant(
                "a thread starts as its multiprocessing child ends", "(util is not None and util.is_exiting())", "False"
            ),
            Mutant(
                "a multiprocessing child does not shut down",
                "        util.Finalize(None, _at_exit, exitpriority=100)",
                "        pass",
            ),
            Mutant(
                "every process shuts down with multiprocessing's finalizers",
                " and process.parent_process() is not None",
                "",
            ),
            Mutant("nothing is shut down at exit", "        _current.shut_down(EXIT_TIMEOUT)", "        pass"),
            Mutant(
                "a signal handler's error is taken for want of threads",
                "        if not _is_out_of_resources(error):\n            raise\n",
                "",
            ),
            Mutant("want of files is the caller's error", "return error.errno in _OUT_OF_RESOURCES", "return False"),
            Mutant("a fork does not wait for the lock", "    _process_lock.acquire()", "    pass"),
            Mutant("a fork keeps the lock", "    _process_lock.release()", "    pass"),
            Mutant("a child has its parent's lock", "    _process_lock = threading.RLock()\n    if", "    if"),
            Mutant(
                "a child uses its parent's thread",
                "        _current.dead = True\n        _inherited.append(_current)\n        _current = None",
                "        _inherited.append(_current)",
            ),
            Mutant("a child lets its parent's loop be collected", "        _inherited.append(_current)\n", ""),
        ),
    ),
    Group(
        "_engine/waiting.py",
        ("tests/unit/test_waiting.py",),
        (
            Mutant(
                "a later result replaces the first",
                "        if self.result is None:\n            self.result",
                "        if True:\n            self.result",
            ),
            Mutant(
                "who asks after the end is not told",
                "        if self.result is not None:\n            self._call_back()",
                "        pass",
            ),
            Mutant("an endless timeout is an error", "min(timeout, LONGEST)", "timeout"),
            Mutant("a shielded wait ends with its scope", "trio.CancelScope(shield=shield)", "trio.CancelScope()"),
            Mutant("trio is taken for asyncio", '"trio" in sys.modules and _in_trio()', "False"),
            Mutant("trio is imported for everybody", '"trio" in sys.modules and _in_trio()', "_in_trio()"),
            Mutant(
                "a timeout is an exception", "with suppress(asyncio.TimeoutError):", "with suppress(ZeroDivisionError):"
            ),
            Mutant(
                "a coroutine that is closed without a loop raises",
                "    except RuntimeError:  # a coroutine",
                "    except OSError:  # a coroutine",
            ),
            Mutant(
                "a late answer stumbles over a closed loop",
                "        with suppress(RuntimeError):  # the loop",
                "        if True:  # the loop",
            ),
        ),
    ),
)
