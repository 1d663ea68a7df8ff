"""Plants bugs into the indicator, one at a time, and says which layer of the tests catches each.

``python -m tests.indicator.mutants`` prints the whole matrix. A mutant is a replacement in the source's text
that must fit exactly once; if a change to the machine makes it fit no more, write it anew.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from linq_typing._core import indicator as _indicator

from . import test_races
from .test_stateful import check_stories
from .test_table import check_table
from .test_walks import RARE, check_walks


@dataclass(frozen=True)
class Mutant:
    """One bug: what it does, and how to plant it."""

    bug: str
    old: str
    new: str

    def planted_in(self, source: str) -> str:
        """The source with the bug in it."""
        times = source.count(self.old)
        assert times == 1, f"{self.bug!r} fits {times} times, not once: write it anew ({self.old!r})"
        return source.replace(self.old, self.new)


MUTANTS: Final = (
    Mutant("two requests at once", "return None, inf", "pass"),
    Mutant("starts while a message is in flight", "if self._messages and not self._flushing:", "if False:"),
    Mutant("starts before a message has settled", "elif now < self._settles_at and not self._flushing:", "elif False:"),
    Mutant("a flush lets starts out early", "if self._flushing and not self.pending(now):", "if False:"),
    Mutant("a flush skips nothing", "self._flushing = True", "self._flushing = False"),
    Mutant(
        "a message clears the starts that it overlapped", "if self._may_apply_until < message.began_at:", "if True:"
    ),
    Mutant(
        "a message clears what came before its answer",
        "self._may_apply_until < message.began_at",
        "self._may_apply_until < at",
    ),
    Mutant("a message clears nothing", "if self._may_apply_until < message.began_at:", "if False:"),
    Mutant(
        "an older message, reported late, settles sooner",
        "self._settles_at = max(self._settles_at, message.settles_at)",
        "self._settles_at = message.settles_at",
    ),
    Mutant(
        "a start that overlapped a message is confirmed",
        "now if sent_at >= self._settles_at else LONG_AGO",
        "now",
    ),
    Mutant(
        "a lost start is settled by its answer",
        "self._may_apply_until = now + MAY_APPLY_FOR",
        "self._may_apply_until = now",
    ),
    Mutant(
        "an accepted start makes it forget a lost one",
        "self._may_apply_until = max(self._may_apply_until, now)\n            self._confirmed_at",
        "self._may_apply_until = now\n            self._confirmed_at",
    ),
    Mutant("a message that hangs keeps starts waiting", "MAX_SEND_TIME: Final = 120.0", "MAX_SEND_TIME: Final = 1e9"),
    Mutant("does not wake when a message takes too long", "(message.blocks_until for message in self._messages)", "()"),
    Mutant("a start answered 5xx did nothing", "if outcome is Outcome.UNKNOWN:", "if False:"),
    Mutant("one stop settles a lost start", "if self._may_apply_until <= sent_at:", "if True:"),
    Mutant("the second stop follows at once", "max(self._second_stop_at, retry_at,", "max(-inf, retry_at,"),
    Mutant(
        "stops when it has faded",
        "return now < self._may_apply_until + SHOWN_AT_MOST",
        "return self._may_apply_until > -inf",
    ),
    Mutant("a session leaves twice", "if session not in self.sessions or not session.is_open:", "if False:"),
    Mutant("an unknown sender is no session", 'if message.sender == "unknown":', "if False:"),
    Mutant("no stop_delay", "lingers = (session.lingers_until for", "lingers = (-inf for"),
    Mutant(
        "a flush keeps the stop_delay",
        "self.sessions = tuple(session for session in self.sessions if session.is_open)",
        "pass",
    ),
    Mutant("a failed stop is tried again at once", "self._not_before = now + max(retry_in, retry_after)\n", "pass\n"),
    Mutant("a refused chat is asked again", "if session.refused and session.is_open", "if False"),
    Mutant("a refusal is forgotten at once", "now + REFUSED_FOR", "now"),
    Mutant("Retry-After is forgotten with its cycle", "self._blocked_until = now + retry_after", "pass"),
    Mutant("a Retry-After holds for ever", "min(retry_after, MAX_RETRY_AFTER)", "retry_after"),
    Mutant("a stop does not obey Retry-After", "now + max(retry_in, retry_after)", "now + retry_in"),
    Mutant("a Retry-After shortens the back-off of a stop", "max(retry_in, retry_after)", "retry_after or retry_in"),
    Mutant("the largest interval counts", "return min([session.options.r", "return max([session.options.r"),
    Mutant("a refresh is retried too late", "now + retry_in, now if self.confirmed else inf", "now + retry_in, inf"),
    Mutant("a refresh given up disables the later ones", "0, inf, self._cycle_began", "0, inf, inf"),
    Mutant("retries have no cycles", "self._attempt += 1", "self._attempt = 1"),
    Mutant("the time of pauses counts", "self.options.max_duration + self.paused_for", "self.options.max_duration"),
    Mutant("a paused session still wants it", "and self.paused_at is None", ""),
    Mutant("no start_delay", "return self.joined_at + self.options.start_delay", "return self.joined_at"),
    Mutant(
        "a session waits for the retries of the one before",
        "and self.in_flight is None and not self.wanted(now):",
        "and False:",
    ),
    Mutant(
        "a stop that is given up while a session wants the indicator took it down",
        "if not self.wanted(now):  # else the stop",
        "if True:  # else the stop",
    ),
    Mutant("resume does not end the quiet", "session.quiet_until = LONG_AGO", "pass"),
    Mutant("resume_after before the message has settled", "max(resume_after, self._settle)", "resume_after"),
    Mutant(
        "does not wake for resume_after",
        "self.shows_at, self.quiet_until, self.expires_at",
        "self.shows_at, inf, self.expires_at",
    ),
    Mutant("does not wake for max_duration", "self.quiet_until, self.expires_at)", "self.quiet_until, inf)"),
    Mutant("max_duration is reported again and again", "session.expired = True", "pass"),
    Mutant("an unknown sender is the one that left first", "return max(left, key", "return min(left, key"),
    Mutant("forgets a lost stop", "or now < self._stop_may_apply_until\n", ""),
    Mutant(
        "does not wake to forget a lost stop",
        "self._stop_may_apply_until, fades_at",
        "fades_at",
    ),
    Mutant(
        "a lost stop is settled by its answer",
        "self._stop_may_apply_until = now + MAY_APPLY_FOR",
        "self._stop_may_apply_until = now",
    ),
    Mutant("repeats every start after a lost stop", "if sent_at < self._stop_may_apply_until else inf", ""),
    Mutant(
        "repeats a start while a lost stop may still undo it",
        "self._repeat_at = self._stop_may_apply_until if",
        "self._repeat_at = now if",
    ),
    Mutant("trusts a start that a lost stop may undo", "interval, self._repeat_at)", "interval, inf)"),
    Mutant(
        "a webhook makes a message settle later",
        "min(message.settles_at, now + DELIVERED_WITHIN)",
        "now + DELIVERED_WITHIN",
    ),
    Mutant(
        "a message has cleared the indicator when it was sent",
        "DELIVERED_WITHIN: Final = 0.5",
        "DELIVERED_WITHIN: Final = 0.0",
    ),
    Mutant("a delivered message settles the others", "message.settles_at, *others)", "message.settles_at)"),
    Mutant("no message clears later than expected", "if at > message.settles_at:", "if False:"),
    Mutant("a webhook that comes late tells of a late clear", "if at > message.settles_at:", "if True:"),
    Mutant(
        "a failed message has cleared the indicator",
        "self._may_apply_until = max(self._may_apply_until, message.cleared)",
        "pass",
    ),
    Mutant(
        "a failed message is stopped for though another cleared the indicator",
        "if another is not None:",
        "if another is not None and False:",
    ),
    Mutant("two failed messages leave a ghost", "another.cleared = max(another.cleared, message.cleared)", "pass"),
    Mutant("a failed message still settles", "self._settle_anew(message, now)\n        another", "another"),
    Mutant(
        "a failed message is stopped for though a stop was accepted",
        "self._forget_cleared(lambda cleared: cleared <= sent_at)",
        "pass",
    ),
    Mutant(
        "a failed message is stopped for though a delivered one cleared the indicator",
        "self._forget_cleared(lambda cleared: cleared < message.began_at)",
        "pass",
    ),
    Mutant("a failed message brings back a stop that was given up", "self._forget_cleared(lambda _: True)", "pass"),
    Mutant("forgets a message that may still fail", "or self._accepted\n", ""),
    Mutant("remembers no message that has settled", "max(message.known_for, self._settle)", "self._settle"),
    Mutant("remembers messages for ever", "if message.known_until <= now:", "if False:"),
    Mutant(
        "does not wake to forget a message", "moments.extend(message.known_until for message in self._accepted)", "pass"
    ),
    Mutant("somebody else's message quiets nobody", "sender = self.guess_sender(at)", "sender = None"),
    Mutant(
        "somebody else's message quiets who came after it",
        "sender = self.guess_sender(at)",
        "sender = self.guess_sender(now)",
    ),
    Mutant(
        "somebody else's message clears nothing",
        "self._confirmed_at = LONG_AGO\n        self._settles_at = max(self._settles_at, now)",
        "self._settles_at = max(self._settles_at, now)",
    ),
    Mutant(
        "a start that overlapped somebody else's message is confirmed",
        "self._settles_at = max(self._settles_at, now)",
        "pass",
    ),
    Mutant(
        "somebody else's message clears the debt",
        "self._settles_at = max(self._settles_at, now)",
        "self._settles_at = max(self._settles_at, now); self._may_apply_until = LONG_AGO",
    ),
    Mutant(
        "a start that was just accepted is repeated when the chat is opened",
        "and now >= self._confirmed_at + UP_FOR",
        "",
    ),
    Mutant("shows it again while a start is to be repeated", "and self._repeat_at == inf\n", ""),
    Mutant(
        "shows it again though nobody wants it", "self.wanted(now)\n            and self.confirmed", "self.confirmed"
    ),
    Mutant("shows it again while starts fail", "and self._attempt == 0 and self._not_before == LONG_AGO", ""),
    Mutant(
        "shows it again while a message is in flight", "and not self._messages\n            and now >=", "and now >="
    ),
    Mutant("shows it again before a start may go out", "            and now >= self._blocked_until\n", ""),
    Mutant(
        "a stop to show it again is tried again",
        "if action is Action.STOP and self._repeat_at == LONG_AGO:",
        "if False:",
    ),
    Mutant(
        "no stop comes before the start that shows it again",
        "if self.confirmed and self._repeat_at == LONG_AGO:",
        "if False:",
    ),
)


def planted(mutant: Mutant) -> ModuleType:
    """The indicator's module with the bug in it."""
    assert _indicator.__file__ is not None
    source = mutant.planted_in(Path(_indicator.__file__).read_text(encoding="utf-8"))
    module = ModuleType(f"{_indicator.__name__}_mutant")
    module.__package__ = _indicator.__package__
    sys.modules[module.__name__] = module  # where dataclasses look
    exec(compile(source, _indicator.__file__, "exec"), module.__dict__)
    return module


def check_races(machine: ModuleType) -> None:
    for name, race in inspect.getmembers(test_races, inspect.isfunction):
        if name.startswith("test_"):
            race(machine)


#: The layers in their fast forms. The cheap ones come first.
LAYERS: Final[dict[str, Callable[[ModuleType], None]]] = {
    "races": check_races,
    "table": check_table,
    "walks": lambda machine: check_walks(machine, [*range(1_000), *RARE]),
    "stories": lambda machine: check_stories(machine, 60, shrink=False),
}


def caught_by(mutant: Mutant, layers: dict[str, Callable[[ModuleType], None]]) -> Iterator[str]:
    """The layers that notice the bug."""
    machine = planted(mutant)
    for name, check in layers.items():
        try:
            check(machine)
        except Exception:  # noqa: BLE001 - whatever goes wrong is noticed
            yield name


def main() -> None:
    for mutant in MUTANTS:
        layers = list(caught_by(mutant, LAYERS))
        marks = "  ".join(name if name in layers else " " * len(name) for name in LAYERS)
        print(f"{marks}  {mutant.bug}{'' if layers else '   SURVIVES'}", flush=True)


if __name__ == "__main__":
    main()
