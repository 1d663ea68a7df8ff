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

from linq_typing import _indicator

from . import test_races
from .test_stateful import check_stories
from .test_table import check_table
from .test_walks import check_walks


@dataclass(frozen=True)
class Mutant:
    """One bug: what it does, and how to plant it."""

    bug: str
    old: str
    new: str


MUTANTS: Final = (
    Mutant("two requests at once", "return None, inf", "pass"),
    Mutant("starts while a message is in flight", "if self._windows and not self._hurried:", "if False:"),
    Mutant("starts before a message has settled", "elif now < self._settles_at and not self._hurried:", "elif False:"),
    Mutant("a flush hurries starts too", "if self._hurried and not self.pending(now):", "if False:"),
    Mutant("a flush skips nothing", "self._hurried = True", "self._hurried = False"),
    Mutant(
        "a message wipes the starts that it overlapped", "if self._effect_by < window.began_at:", "if True:"
    ),
    Mutant("a message wipes what came before its answer", "self._effect_by < window.began_at", "self._effect_by < at"),
    Mutant("a message wipes nothing", "if self._effect_by < window.began_at:", "if False:"),
    Mutant(
        "an older message told late settles sooner",
        "self._settles_at = max(self._settles_at, at + self._settle)",
        "self._settles_at = at + self._settle",
    ),
    Mutant(
        "a start that overlapped a message counts as lit",
        "now if sent_at >= self._settles_at else LONG_AGO",
        "now",
    ),
    Mutant("a lost start is settled by its answer", "self._effect_by = now + LOST_FOR", "self._effect_by = now"),
    Mutant(
        "an accepted start makes forget a lost one",
        "self._effect_by = max(self._effect_by, now)\n            self._lit_at",
        "self._effect_by = now\n            self._lit_at",
    ),
    Mutant("a message that hangs keeps starts waiting", "MAX_SEND_TIME: Final = 120.0", "MAX_SEND_TIME: Final = 1e9"),
    Mutant("nobody wakes when a message takes too long", "(window.closes_at for window in self._windows)", "()"),
    Mutant("a start answered 5xx did nothing", "if outcome is Outcome.PERHAPS:", "if False:"),
    Mutant("one stop settles a lost start", "if self._effect_by <= sent_at:", "if True:"),
    Mutant("the second stop follows at once", "max(self._second_stop_at, retry_at,", "max(-inf, retry_at,"),
    Mutant("stops when it has faded", "return now < self._effect_by + SHOWN_FOR", "return self._effect_by > -inf"),
    Mutant("a session leaves twice", "if wish not in self.wishes or not wish.is_open:", "if False:"),
    Mutant("an unknown hand is nobody's", 'if window.wish == "unknown":', "if False:"),
    Mutant("no stop_delay", "lingers = (wish.lingers_until for", "lingers = (-inf for"),
    Mutant("a flush keeps the stop_delay", "self.wishes = tuple(wish for wish in self.wishes if wish.is_open)", "pass"),
    Mutant("a failed stop is tried again at once", "self._not_before = now + max(retry_in, retry_after)\n", "pass\n"),
    Mutant("a refused chat is asked again", "if any(wish.refused and wish.is_open", "if any(False"),
    Mutant("a refusal is forgotten at once", "now + REFUSED_FOR", "now"),
    Mutant("Retry-After is forgotten with its round", "self._barred_until = now + retry_after", "pass"),
    Mutant("a Retry-After holds for ever", "min(retry_after, LONGEST_BAR)", "retry_after"),
    Mutant("a stop does not obey Retry-After", "now + max(retry_in, retry_after)", "now + retry_in"),
    Mutant("a Retry-After shortens the back-off of a stop", "max(retry_in, retry_after)", "retry_after or retry_in"),
    Mutant("the largest interval counts", "return min(wish.options.r", "return max(wish.options.r"),
    Mutant("a refresh is retried too late", "now + retry_in, now if self.lit else inf", "now + retry_in, inf"),
    Mutant("a refresh given up disables the later ones", "0, inf, self._round_began", "0, inf, inf"),
    Mutant("retries have no rounds", "self._attempt += 1", "self._attempt = 1"),
    Mutant("the time of pauses counts", "self.options.max_duration + self.paused_for", "self.options.max_duration"),
    Mutant("a paused session still wants it", "and self.paused_at is None", ""),
    Mutant("no start_delay", "return self.joined_at + self.options.start_delay", "return self.joined_at"),
    Mutant("resume does not end the quiet", "wish.quiet_until = LONG_AGO", "pass"),
    Mutant("resume_after before the message has settled", "max(resume_after, self._settle)", "resume_after"),
    Mutant("nobody wakes for resume_after", "yield self.quiet_until", "yield inf"),
    Mutant("nobody wakes for max_duration", "yield self.expires_at", "yield inf"),
    Mutant("max_duration is told again and again", "wish.expired = True", "pass"),
    Mutant("an unknown hand is the one that left first", "return max(left, key", "return min(left, key"),
    Mutant("forgets a message that settles", "or now < self._settles_at\n", ""),
    Mutant("forgets a lost stop", "or now < self._lost_stop_until\n", ""),
    Mutant("nobody wakes to forget a lost stop", "self._barred_until, self._lost_stop_until, ", "self._barred_until, "),
    Mutant(
        "a lost stop is settled by its answer",
        "self._lost_stop_until = now + LOST_FOR",
        "self._lost_stop_until = now",
    ),
    Mutant("repeats every start after a lost stop", "if sent_at < self._lost_stop_until else inf", ""),
    Mutant(
        "repeats a start while a lost stop may still undo it",
        "self._repeat_at = self._lost_stop_until if",
        "self._repeat_at = now if",
    ),
    Mutant("trusts a start that a lost stop may undo", "interval, self._repeat_at)", "interval, inf)"),
)  # fmt: skip


def planted(mutant: Mutant) -> ModuleType:
    """The indicator's module with the bug in it."""
    assert _indicator.__file__ is not None
    source = Path(_indicator.__file__).read_text(encoding="utf-8")
    times = source.count(mutant.old)
    assert times == 1, f"{mutant.bug!r} fits {times} times, not once: write it anew ({mutant.old!r})"
    module = ModuleType(f"{_indicator.__name__}_mutant")
    module.__package__ = _indicator.__package__
    sys.modules[module.__name__] = module  # where dataclasses look
    exec(compile(source.replace(mutant.old, mutant.new), _indicator.__file__, "exec"), module.__dict__)
    return module


def check_races(machine: ModuleType) -> None:
    for name, race in inspect.getmembers(test_races, inspect.isfunction):
        if name.startswith("test_"):
            race(machine)


#: The layers in their fast forms. The cheap ones come first.
LAYERS: Final[dict[str, Callable[[ModuleType], None]]] = {
    "races": check_races,
    "table": check_table,
    "walks": lambda machine: check_walks(machine, range(1_000)),
    "stories": lambda machine: check_stories(machine, 60, shrink=False),
}


def caught_by(mutant: Mutant, layers: dict[str, Callable[[ModuleType], None]]) -> Iterator[str]:
    """The layers that notice the bug."""
    machine = planted(mutant)
    for name, check in layers.items():
        try:
            check(machine)
        except Exception:  # whatever goes wrong is noticed
            yield name


def main() -> None:
    for mutant in MUTANTS:
        layers = list(caught_by(mutant, LAYERS))
        marks = "  ".join(name if name in layers else " " * len(name) for name in LAYERS)
        print(f"{marks}  {mutant.bug}{'' if layers else '   SURVIVES'}", flush=True)


if __name__ == "__main__":
    main()
