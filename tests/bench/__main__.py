"""``python -m tests.bench``: measure linq-typing beside its peers and floors, and print one table.

By default all but ``hold`` and ``crowd``. Name benchmarks to run only those. ``--save`` keeps the results in
``docs/explanation/figures``, beside those of other benchmarks, and writes the charts and the tables of the pages anew.
"""

from __future__ import annotations

import argparse
import importlib
from time import monotonic

from . import _pages
from ._results import Benchmark, load, machine, save, summary

BENCHMARKS = ("enter", "memory", "requests", "first", "reply", "leaving", "imports", "redis")
LONG = ("hold", "crowd")


def main() -> None:
    given = _arguments()
    size = "smoke" if given.smoke else "quick" if given.quick else "full"
    results = {}
    for name in given.benchmarks or [*BENCHMARKS, *(LONG if given.long else ())]:
        began = monotonic()
        print(f"{name} ...", flush=True)
        measured = importlib.import_module(f".{name}", __package__).run(size)
        results[name] = Benchmark(machine(), size, round(monotonic() - began), measured)
        print(f"    {results[name].seconds} s", flush=True)
        if given.save:  # now, as a later one may fail
            save({**load(), name: results[name]})
    print(f"\n{summary(each for found in results.values() for each in found.measured)}\n\n{machine()}.")
    if given.save:
        _pages.write()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("benchmarks", nargs="*", choices=[*BENCHMARKS, *LONG, []], metavar="benchmark",
                        help=f"{', '.join(BENCHMARKS)}; {', '.join(LONG)} only by name or with --long")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="smaller and rougher: at most two minutes")
    parser.add_argument("--smoke", action="store_true", help="smallest sizes: shows that it runs, measures nothing")
    parser.add_argument("--long", action="store_true", help=f"{', '.join(LONG)} too")
    parser.add_argument("--save", action="store_true", help="keep the results, and write charts and pages anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
