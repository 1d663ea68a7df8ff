"""Bugs in what runs the indicators of a manager, all of which shows in virtual time."""

from indicator.mutants import Mutant

from .kit import Group, test_is_noticed, test_without_a_bug_all_tests_pass  # noqa: F401 - the same for all

GROUPS = (
    Group(
        "_engine/runner.py",
        (
            "tests/virtual/test_orderings.py",
            "tests/virtual/test_messages.py",
            "tests/virtual/test_cadence.py",
            "tests/virtual/test_congestion.py",
        ),
        (
            Mutant("each refresh warns that it waited", "if not self._congested and", "if"),
            Mutant(
                "the interval of one counts for all", "other.interval(now) for other", "chat.interval(now) for other"
            ),
            Mutant("the duration of requests is not measured", "queue.release(now - began)", "queue.release(5.0)"),
            Mutant("a forgotten chat is looked at again", "                self._timers.cancel(chat)\n", ""),
            Mutant(
                "an ended session resumes",
                "if session.is_open:\n            self.tell(chat_id, lambda chat: chat.resume",
                "if True:\n            self.tell(chat_id, lambda chat: chat.resume",
            ),
            Mutant(
                "a slot is lost to a start that nobody wants any more", "                self._queue.release()\n", ""
            ),
            Mutant(
                "a message that only its answer names is nobody's",
                "            self.send_began(chat_id, message)\n",
                "            pass\n",
            ),
            Mutant(
                "a message in a chat without a session is remembered",
                "        if chat_id in self._chats:\n",
                "        if True:\n",
            ),
            Mutant(
                "a request that nobody wants any more keeps its turn", "            self._queue.discard(chat.id)\n", ""
            ),
            Mutant("ended requests are kept", "task.add_done_callback(self._tasks.discard)", "pass"),
            Mutant(
                "who waits on exit in a chat that is forgotten waits in vain",
                "            done.set(True)\n",
                "            pass\n",
            ),
            Mutant("stats change under the caller's eyes", "dict(self._outcomes.requests)", "self._outcomes.requests"),
        ),
    ),
    Group(
        "_engine/runner.py",
        ("tests/virtual/test_closing.py", "tests/virtual/test_transports.py"),
        (
            Mutant(
                "a start that hangs keeps the stop from going out",
                "        for task in self._starts:\n",
                "        for task in ():\n",
            ),
            Mutant("who waits for a flush is not told of the close", "        self._flushes.abandon()\n", ""),
            Mutant("nobody is told of the stop that closing cut off", "if chat.maybe_up(now):\n", "if False:\n"),
            Mutant("a stop that closing cut off counts as done", "if chat.in_flight is Action.STOP:\n", "if False:\n"),
            Mutant("a suspension outlasts the close", "        self._outcomes.reset()\n", ""),
            Mutant(
                "closing forgets that a message settles",
                "for chat in self._chats.values() if not chat.pending(now)}",
                "for chat in ()}",
            ),
            Mutant(
                "what closing remembers is never forgotten",
                "            self._review(chat)\n        self._dispatch()\n\n    # -- Deciding",
                "            pass\n\n    # -- Deciding",
            ),
            Mutant(
                "a stop that was given up makes a flush a success",
                "if given_up and action is Action.STOP:",
                "if False:",
            ),
            Mutant(
                "a start that was given up makes a flush a failure",
                "if given_up and action is Action.STOP:",
                "if given_up:",
            ),
            Mutant(
                "a retired manager with nothing to stop stays open",
                "            done.set(True)\n        self.on_change()",
                "            done.set(True)",
            ),
        ),
    ),
    Group(
        "_engine/lifecycle.py",
        ("tests/virtual/test_closing.py", "tests/virtual/test_default_manager.py", "tests/virtual/test_transports.py"),
        (
            Mutant("inputs overtake the close", "        elif self.life is Life.CLOSING:\n", "        elif False:\n"),
            Mutant("who waits as the process ends is not told", "add_callback(waited_for.set)", "add_callback(bool)"),
            Mutant(
                "a second close is never done",
                "            self._closing.add_callback(done.set)\n        return True",
                "            pass\n        return True",
            ),
            Mutant("a close forgets what came before it", "        if self._postponed:\n", "        if False:\n"),
            Mutant("a closed manager stays closed", "self.life = self._opens_as\n", "pass\n"),
            Mutant(
                "sessions begin after the end of the process",
                "            self._drop(args)\n        elif",
                "            call(*args)\n        elif",
            ),
            Mutant(
                "a retired manager does not wait for its sessions",
                "self.life is Life.RETIRING and not self._runner.is_busy",
                "self.life is Life.RETIRING",
            ),
            Mutant("a retired manager is lost while its sessions are open", "        self._kept = keep\n", ""),
            Mutant(
                "a retired manager is kept for ever",
                "            self._kept = None\n            self.life",
                "            self.life",
            ),
            Mutant(
                "a retirement during a close is forgotten",
                "            self._postponed.append((self.retire, (keep, close_transport)))\n",
                "",
            ),
            Mutant(
                "closing closes the user's transport",
                "for_good=self._exiting or self._close_transport",
                "for_good=True",
            ),
            Mutant("a transport that hangs keeps the manager closed", "timeout=CLOSE_TIMEOUT", "timeout=None"),
            Mutant(
                "whoever closes on a dead thread waits in vain",
                "        if self._thread.dead:\n            done.set(True)\n",
                "",
            ),
        ),
    ),
    Group(
        "_engine/outcomes.py",
        ("tests/virtual/test_retries.py", "tests/virtual/test_cadence.py"),
        (
            Mutant("retries are not counted", "self.retries += chat.attempt > 1", "pass"),
            Mutant("a bad key is this chat's fault", "if bad_key and action is Action.START:", "if False:"),
            Mutant("each chat that had a bad key tells of its recovery", "if not bad_key:", "if True:"),
            Mutant(
                "a refusal is unknown to the next session", "            chat.refusal = error\n", "            pass\n"
            ),
            Mutant(
                "a failed start is an error of later sessions",
                "if outcome is Outcome.REFUSED and action is Action.START:",
                "if action is Action.START:",
            ),
            Mutant(
                "a refused stop is an error of later sessions",
                "if outcome is Outcome.REFUSED and action is Action.START:",
                "if outcome is Outcome.REFUSED:",
            ),
            Mutant(
                "a start that nobody wants is given up",
                "wanted and outcome is not Outcome.REFUSED",
                "outcome is not Outcome.REFUSED",
            ),
            Mutant(
                "a stop that is given up is no news",
                "return not wanted if action is Action.STOP",
                "return False if action is Action.STOP",
            ),
            Mutant(
                "sessions keep the error of a suspension that is over",
                "            self.suspended_for = None\n        return change",
                "            pass\n        return change",
            ),
            Mutant("a hook that raises ends the loop", "except BaseException:", "except Exception:"),
            Mutant(
                "the answer to a stop moves the circuit breaker",
                "if action is Action.START else None\n        recovered",
                "if True else None\n        recovered",
            ),
            Mutant("409 opens the circuit breaker", "error.status_code == 409", "False"),
        ),
    ),
    Group(
        "_engine/flushing.py",
        ("tests/unit/test_flushing.py",),
        (
            Mutant("a stop that is given up fails all flushes", "if chat in flush.chats:", "if True:"),
            Mutant(
                "a stop that is given up fails no flush",
                "                flush.clean = False\n",
                "                pass\n",
            ),
            Mutant(
                "a flush of nothing is never done",
                "        self._flushes.append(_Flush(chats, done))\n        self._end_finished()",
                "        self._flushes.append(_Flush(chats, done))",
            ),
            Mutant(
                "finished flushes are kept",
                "        self._flushes = [flush for flush in self._flushes if flush.chats]\n",
                "",
            ),
            Mutant("an abandoned flush was clean", "flush.done.set(False)", "flush.done.set(flush.clean)"),
        ),
    ),
    Group(
        "_engine/source.py",
        ("tests/virtual/test_default_manager.py", "tests/virtual/test_transports.py"),
        (
            Mutant("a closed engine looks ready", " and not self._was_closed else None", " else None"),
            Mutant(
                "a manager goes on with a key that is gone",
                "            if self._credentials_changed():\n                self.renew(None)\n",
                "",
            ),
            Mutant(
                "the engine of a past environment stays open",
                "            engine.retire(keep, close_transport=False)  # its transport serves the next one",
                "            pass",
            ),
            Mutant(
                "a new environment closes the user's transport",
                "engine.retire(keep, close_transport=False)",
                "engine.retire(keep, close_transport=True)",
            ),
            Mutant(
                "want of a thread is the user's mistake",
                "logging.ERROR if isinstance(error, ConfigurationError) else logging.WARNING",
                "logging.ERROR",
            ),
            Mutant(
                "a session does not know why nothing is sent", "            state.error = error\n", "            pass\n"
            ),
            Mutant(
                "a dead engine is used",
                "if self.engine is None or not self.engine.alive:\n",
                "if self.engine is None:\n",
            ),
            Mutant(
                "a disabled manager sends",
                "        if not self.settings.is_enabled:\n            return None\n        error = None",
                "        error = None",
            ),
            Mutant(
                "a message makes a manager work that has no key",
                "return self._open() if self.settings.known_credentials().api_key else None",
                "return self._open()",
            ),
            Mutant("a hook may wait for its own thread", "if not engine.can_be_waited_for:", "if False:"),
            Mutant(
                "a dropped manager is never closed",
                "        self._finalizer = weakref.finalize(self, engine.retire)  # if",
                "        self._finalizer = weakref.finalize(self, lambda: None)  # if",
            ),
            Mutant("a manager never says that it is closed", "else self.engine.life\n", "else Life.OPEN\n"),
        ),
    ),
    Group(
        "_engine/engine.py",
        ("tests/virtual/test_cadence.py", "tests/virtual/test_default_manager.py"),
        (
            Mutant(
                "a join is lost while the manager is closed",
                "self._post(self._lifecycle.open_and_forward, self._runner.join,",
                "self._post(self._lifecycle.forward, self._runner.join,",
            ),
            Mutant(
                "a leave opens a closed manager",
                "self._post(self._lifecycle.forward, self._runner.leave,",
                "self._post(self._lifecycle.open_and_forward, self._runner.leave,",
            ),
            Mutant("pause is resume", "self._runner.pause, chat_id", "self._runner.resume, chat_id"),
        ),
    ),
)
