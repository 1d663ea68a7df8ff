"""Bugs to plant, one at a time, and for each a walk that catches it.

``python -m tests.sharing.mutants`` looks for such walks. Those in the scripts are switches of the twin; the others are
replacements in a module's text, each of which must fit exactly once.

Too rare for walks, and pinned by a test instead: a dead lease that leaves no debt, what the dead wanted that is no debt
(:mod:`.test_scripts`), a request sent alone that is not told of, a lease used however late (:mod:`.test_member`).
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from linq_typing._core import member as _member
from linq_typing._core import shared_indicator as _shared

from .model import walk

MEMBER, SHARED = "member", "shared_indicator"


@dataclass(frozen=True)
class Mutant:
    """One bug: how to plant it, and a walk that catches it. Without edits it is a switch of the twin."""

    bug: str
    mode: str
    seed: int
    edits: tuple[tuple[str, str, str], ...] = ()


def edits(module: str, *pairs: tuple[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((module, old, new) for old, new in pairs)


MUTANTS: Final = (
    Mutant(
        "late calls count",  # the comparison of what is held would heal most of it
        "rough",
        65,
        edits(MEMBER, ("abs(held - len(self.held)) > doubt", "False")),
    ),
    Mutant("no lease", "clean", 2),
    Mutant("no news", "clean", 4),
    Mutant("the dead still want it", "calm", 1),
    Mutant("a dead lease ends at once", "calm", 563),
    Mutant("the forgotten take over", "rough", 1347),
    Mutant(
        "two calls at a time",
        "clean",
        3,
        edits(
            MEMBER, ("if self._in_flight or self.mode", "if self.mode"), ("if batch is not self._in_flight:", "if 0:")
        ),
    ),
    Mutant(
        "the first session does not wait for the server",
        "clean",
        7,
        edits(MEMBER, ("return self.mode is Mode.ALONE", "return self.mode is not Mode.SHARED")),
    ),
    Mutant(
        "what the server has forgotten goes unnoticed",
        "rough",
        170,
        edits(MEMBER, ("abs(held - len(self.held)) > doubt", "False")),
    ),
    Mutant(
        "relieved by an older answer",
        "calm",
        163,
        edits(MEMBER, ("nothing_new = chat.marks() == exchange.marks and", "nothing_new =")),
    ),
    Mutant("never relieved", "clean", 7, edits(MEMBER, ("            chat.relieve()", "            pass"))),
    Mutant(
        "what others know is not heard",
        "clean",
        2,
        edits(MEMBER, ("chat.merge(Marks(*map(self._to_local, reply[6:])))", "pass")),
    ),
    Mutant(
        "a lease is not given back",
        "clean",
        0,
        edits(SHARED, ("        self.share.lease = None\n        self.share.dirty = True", "        pass")),
    ),
    Mutant(
        "nobody is told what happened while alone",
        "rough",
        50,
        edits(MEMBER, ("            self._tells[chat.id] = chat\n            chat.share.dirty = True\n", "")),
    ),
    Mutant("nobody is ever dead", "calm", 1, edits(MEMBER, ("if times >= SIGHTINGS or", "if times >= 1e9 or"))),
    Mutant(
        "a stall is death",
        "clean",
        2,
        edits(
            MEMBER, ("SIGHTINGS: Final = 3", "SIGHTINGS: Final = 1"), ("SILENCE: Final = 3.0", "SILENCE: Final = 0.5")
        ),
    ),
    Mutant(
        "a message is not told",
        "clean",
        95,
        edits(
            SHARED,
            (
                "_word(message.id))\n            self.share.dirty = True",
                "_word(message.id))",
            ),
        ),
    ),
    Mutant(
        "a stop is not told to have cleared",
        "clean",
        0,
        edits(
            SHARED,
            ("            share.cleared_until = max(share.cleared_until, sent_at)", "            pass"),
            ("            share.cleared_until = max(share.cleared_until, owed)", "            pass"),
        ),
    ),
)


def planted(mutant: Mutant) -> Any:
    """The code with the bug in it."""
    sources: dict[str, str] = {}
    for name, old, new in mutant.edits:
        module: Any = {MEMBER: _member, SHARED: _shared}[name]
        source = sources.get(name) or Path(module.__file__).read_text(encoding="utf-8")
        assert source.count(old) == 1, f"{mutant.bug!r} does not fit once: write it anew ({old!r})"
        sources[name] = source.replace(old, new)
    found = {name: _compiled(name, source) for name, source in sources.items()}
    return SimpleNamespace(
        Member=getattr(found.get(MEMBER, _member), "Member"),  # noqa: B009
        SharedIndicator=getattr(found.get(SHARED, _shared), "SharedIndicator"),  # noqa: B009
        bugs=frozenset({mutant.bug}),
    )


def _compiled(name: str, source: str) -> ModuleType:
    module = ModuleType(f"linq_typing._core.{name}_mutant")
    module.__package__ = "linq_typing._core"
    sys.modules[module.__name__] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


def caught(mutant: Mutant, seed: int, mode: str, code: Any = None) -> str | None:
    """What the walk says of the bug."""
    try:
        walk(seed, mode, code or planted(mutant))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is noticed
        return repr(error)
    return None


def main(seconds: float, *bugs: str) -> None:
    for mutant in MUTANTS:
        if bugs and mutant.bug not in bugs:
            continue
        code, began, seed = planted(mutant), time.process_time(), 0
        while time.process_time() < began + seconds:
            hit = next(
                ((mode, what) for mode in ("clean", "calm", "rough") if (what := caught(mutant, seed, mode, code))),
                None,
            )
            if hit:
                print(f"{mutant.bug}: {hit[0]} {seed}  {hit[1][:90]}", flush=True)
                break
            seed += 1
        else:
            print(f"{mutant.bug}: SURVIVES {seed} walks of each mode", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
