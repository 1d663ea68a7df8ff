"""Bugs in the pure decisions. The indicator has its own: ``tests/indicator/mutants.py``."""

from indicator.mutants import Mutant

from .kit import Group, test_is_noticed, test_without_a_bug_all_tests_pass  # noqa: F401 - the same for all

GROUPS = (
    Group(
        "_core/indicator.py",
        ("tests/indicator/test_races.py", "tests/indicator/test_table.py"),
        (
            Mutant("a session that begins is flushed, too", "self._flushing = False\n        if now >=", "if now >="),
            Mutant(
                "a stop that was given up goes on with its retries",
                "elif retry_in is None:\n            self._end_cycle()\n            if not",
                "elif retry_in is None:\n            if not",
            ),
        ),
    ),
    Group(
        "_core/circuit_breaker.py",
        ("tests/unit/test_circuit_breaker.py",),
        (
            Mutant("four failures are enough", "FAILURES_IN_A_ROW: Final = 5", "FAILURES_IN_A_ROW: Final = 4"),
            Mutant(
                "failures are counted that were not in a row",
                "self._failures, self._pause, self._bad_key = 0, 0.0, False",
                "self._pause, self._bad_key = 0.0, False",
            ),
            Mutant("one chat that fails silences the others", " and (len(self._failed) > 1 or not others_work)", ""),
            Mutant(
                "a bad key needs five failures", "verdict is Verdict.DOWN and not self._is_down", "not self._is_down"
            ),
            Mutant("two probe at once", "return not self._probing and (", "return ("),
            Mutant("a failed probe is followed by no pause", "if not self.is_open and verdict is", "if verdict is"),
            Mutant("a late failure prolongs the pause", "if self.is_open and not probe:", "if False:"),
            Mutant("the pause grows for ever", "LONGEST_PAUSE: Final = 60.0", "LONGEST_PAUSE: Final = 1e9"),
            Mutant(
                "a chat that has had its turn is never tried again", "chat in self._tried:  # then", "False:  # then"
            ),
            Mutant("each failed probe is told", "return None if known else", "return"),
            Mutant(
                "nobody is woken for the probe",
                "return self._half_open_at if self.is_open",
                "return inf if self.is_open",
            ),
        ),
    ),
    Group(
        "_core/request_queue.py",
        ("tests/unit/test_request_queue.py",),
        (
            Mutant(
                "first starts have no turn of their own",
                "if starts and self._acquired %",
                "if False and self._acquired %",
            ),
            Mutant(
                "a suspension counts as a wait for a slot", "            self._held_at = now\n", "            pass\n"
            ),
            Mutant("the mean never moves", "/ (MEAN_OF if self._mean_duration else 1)", "* (not self._mean_duration)"),
            Mutant(
                "each slot is the turn of a first start", "self._acquired += 1", "self._acquired = FIRST_START_TURN - 1"
            ),
            Mutant("starts go although they may not", "if starts else (stops,)", ""),
            Mutant("who asks again loses the turn", "if key not in self._queues[priority]:", "if True:"),
            Mutant("a changed priority waits twice", "            self.discard(key)\n", ""),
            Mutant("a stop is avoided", "if queue is stops or key not in avoided", "if key not in avoided"),
            Mutant("who is to be avoided never goes", "for avoided in (avoid, ()):", "for avoided in (avoid,):"),
            Mutant("the memory of a crowd is kept", "            queue.clear()", "            pass"),
        ),
    ),
    Group(
        "_core/timer_queue.py",
        ("tests/unit/test_timer_queue.py",),
        (
            Mutant("a later time replaces an earlier one", "if when < item.due:", "if when != item.due:"),
            Mutant("what was cancelled comes up", "self._heap[0][0] != self._heap[0][2].due", "False"),
            Mutant(
                "an item comes up twice",
                "                self._let_go(item)\n                return",
                "                return",
            ),
            Mutant("what is due now comes up later", "while self.next_at <= now:", "while self.next_at < now:"),
            Mutant("the current bucket takes no more", "if bucket <= self._current:", "if bucket < self._current:"),
            Mutant(
                "a second item of a bucket replaces the first",
                "self._later[bucket].append(item)",
                "self._later[bucket] = [item]",
            ),
            Mutant("stale entries pile up", "            self._drop_stale_entries()", "            pass"),
            Mutant("items are compared", "(item.due, next(self._order), item))", "(item.due, 0, item))"),
        ),
    ),
)
