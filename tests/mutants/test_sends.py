"""Bugs in sessions, blocks, and the watching of sends."""

from indicator.mutants import Mutant

from .kit import Group, test_is_noticed, test_without_a_bug_all_tests_pass  # noqa: F401 - the same for all

#: Without the longest: an exception at each bytecode, and odd things that a send returns.
FAST_TESTS_OF_SENDS = ("tests/unit/test_sends.py", "-k", "not bytecode and not stubbed_send_returns")

GROUPS = (
    Group(
        "_session.py",
        ("tests/unit/test_session.py",),
        (
            Mutant(
                "sessions that were left elsewhere pile up",
                "    while around is not None and not around[0].is_open:",
                "    while False:",
            ),
            Mutant(
                "leaving an outer block leaves the inner one",
                "    for other in reversed(inner):\n        rest = (other, rest)\n",
                "",
            ),
            Mutant(
                "an ended session is current",
                "for session in _innermost_first() if session.is_open), None)",
                "for session in _innermost_first()), None)",
            ),
            Mutant(
                "an ended session is that of its chat",
                "if session.is_open and session.chat_id == chat_id), None)",
                "if session.chat_id == chat_id), None)",
            ),
            Mutant("another manager's session sends", " and session._engine is engine", ""),
            Mutant("another chat's session sends", "listens and session.chat_id == chat_id", "listens"),
            Mutant(
                "a session that has just left does not send",
                "session.is_open or now < session._lingers_until < inf",
                "session.is_open",
            ),
            Mutant("an inherited session is open", " and (self._engine is None or self._engine.alive)", ""),
            Mutant(
                "an endless stop_delay keeps a session open", "min(options.stop_delay, LONGEST)", "options.stop_delay"
            ),
            Mutant(
                "an exception has a stop_delay",
                "0.0 if failed or options.wait_on_exit else",
                "0.0 if options.wait_on_exit else",
            ),
            Mutant("a hook waits for its own thread", " and engine.can_be_waited_for", ""),
            Mutant("what raises was sent", "accepted=kind is None and not self._failed", "accepted=not self._failed"),
            Mutant("what has failed was sent", "accepted=kind is None and not self._failed", "accepted=kind is None"),
            Mutant(
                "what failed once fails again",
                "        self._failed = False\n        self._message =",
                "        self._message =",
            ),
            Mutant("a send that is dropped goes on for ever", "        self._end(accepted=False)", "        pass"),
        ),
    ),
    Group(
        "_typing_while.py",
        ("tests/unit/test_typing_while.py", "tests/unit/test_strikes.py"),
        (
            Mutant(
                "a block can be entered twice",
                "            del self._free",
                "            self._free = True",
            ),
            Mutant(
                "an inherited session is an obstacle",
                "if self._session is None or not self._session._is_inherited:",
                "if True:",
            ),
            Mutant(
                "what strikes while entering leaves the session open",
                "            self._abandon()\n            raise\n        return session",
                "            raise\n        return session",
            ),
            Mutant(
                "what strikes while leaving leaves the session open",
                "            self._abandon()\n            raise\n        #",
                "            raise\n        #",
            ),
            Mutant(
                "a block that nobody leaves goes on",
                "    def __del__(self) -> None:\n        if self._session is not None:",
                "    def __del__(self) -> None:\n        if False:",
            ),
            Mutant("the session stays current", "            remove(session)\n", ""),
            Mutant("an exception counts as a normal end", "done = session._end(failed)", "done = session._end(False)"),
            Mutant("a copy is active, too", "    def __reduce__(self)", "    def _reduce(self)"),
            Mutant(
                "a block can not be used again",
                "        self._session = None\n        self._free = True\n        return done",
                "        self._session = None\n        return done",
            ),
            Mutant("cancelled trio tasks do not wait on exit", "EXIT_WAIT, shield=True", "0.0"),
            Mutant(
                "bad options are told when the block is entered",
                "        SessionOptions(**options)  # bad",
                "        pass  # bad",
            ),
            Mutant(
                "chat_id_from is ignored beside a chat id",
                "    if chat_id is not None and chat_id_from != _DEFAULT_PATH:",
                "    if False:",
            ),
        ),
    ),
    Group(
        "_exchange.py",
        FAST_TESTS_OF_SENDS,
        (
            Mutant(
                "an error of the watching reaches the caller",
                "        except _OUR_ERRORS:",
                "        except ZeroDivisionError:",
            ),
            Mutant(
                "a refused message was sent",
                '    return isinstance(answer, classes("Response")) and answer.is_success',
                '    return isinstance(answer, classes("Response"))',
            ),
            Mutant("a GET is a message", ' or requests[0].method != "POST"', ""),
            Mutant(
                "every POST may be a message", "    elif not CHAT_IN_BODY.fullmatch(path):\n        return None\n", ""
            ),
            Mutant(
                "an answer that another one must read is swallowed",
                "        if answer.is_stream_consumed:",
                "        if True:",
            ),
            Mutant(
                "a message began when it was answered",
                "MessageInFlight(self._began_at,",
                "MessageInFlight(self._answered_at,",
            ),
        ),
    ),
    Group(
        "_sends.py",
        FAST_TESTS_OF_SENDS,
        (
            Mutant(
                "who watches twice hears twice",
                "        if not any(watcher() is listener for watcher in watchers):\n",
                "        if True:\n",
            ),
            Mutant(
                "a client that is gone is kept in the books",
                "(weakref.ref(http_client, forget), ())",
                "(weakref.ref(http_client), ())",
            ),
            Mutant(
                "a new manager does not watch what others watch too",
                "any(watcher() is old for watcher in watchers)",
                "all(watcher() is old for watcher in watchers)",
            ),
            Mutant("a watched client is told of twice by watch_all", " if ref not in told_already)", ")"),
            Mutant(
                "unwatch_all undoes what others have patched",
                "            if kind.send is ours:\n",
                "            if True:\n",
            ),
            Mutant(
                "what has wrapped our send goes on telling",
                "        if _patched.get(kind, (None, None))[1] is not ours:\n            return ()\n",
                "",
            ),
            Mutant("a stub on an instance is passed over", '    if "send" not in vars(client):\n', "    if True:\n"),
            Mutant(
                "the send of a mock is replaced",
                '    if not issubclass(kind, classes("Client", "AsyncClient")):',
                "    if False:",
            ),
            Mutant(
                "a copy of a watched client is watched",
                "    if kind in _watched_classes.values():  # a copy of a watched client\n        return\n",
                "",
            ),
            Mutant(
                "a watched client shows another class",
                '            "__class__": property(lambda self: kind),',
                "",
            ),
        ),
    ),
    Group(
        "_exchange.py",
        ("tests/unit/test_sends.py", "-k", "bytecode and refused and StruckError"),
        (
            Mutant(
                "what strikes the sender leaves the message in flight",
                "            exchange.end(answer)\n            raise\n\n    return send",
                "            raise\n\n    return send",
            ),
        ),
    ),
    Group(
        "_streams.py",
        FAST_TESTS_OF_SENDS,
        (
            Mutant("a long body is kept", "        if self._size <= MAX_BODY:", "        if True:"),
            Mutant("a long answer is read as it is closed", " and int(length) <= MAX_BODY", ""),
            Mutant(
                "an answer that was closed twice counts twice",
                "chunks, self._chunks = self._chunks, []  # only once",
                "chunks = self._chunks  # only once",
            ),
            Mutant(
                "an answer that is read half is read to its end", "is_json and not self._is_read and", "is_json and"
            ),
        ),
    ),
    Group(
        "_json.py",
        FAST_TESTS_OF_SENDS,
        (
            Mutant(
                "a full stack is a body without a chat",
                "            raise  # the nesting is not the cause",
                "            pass",
            ),
        ),
    ),
)
