"""``python -m tests.bench``: measure linq-typing beside its peers and floors, and print one table.

By default all but ``hold`` and ``crowd``, in about ten minutes on two cores. Name benchmarks to run only those.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from time import monotonic

from ._report import Row, markdown

BENCHMARKS = ("enter", "memory", "requests", "first", "reply", "leaving", "imports", "redis")
LONG = ("hold", "crowd")


def main() -> None:
    given = _arguments()
    size = "smoke" if given.smoke else "quick" if given.quick else "full"
    names = given.benchmarks or [*BENCHMARKS, *(LONG if given.long else ())]
    rows: list[Row] = []
    for name in names:
        began = monotonic()
        print(f"{name} ...", flush=True)
        rows += importlib.import_module(f".{name}", __package__).run(size)
        print(f"    {monotonic() - began:.0f} s", flush=True)
    table = markdown(rows)
    print(f"\n{table}")
    if given.markdown:
        given.markdown.write_text(f"{table}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("benchmarks", nargs="*", choices=[*BENCHMARKS, *LONG, []], metavar="benchmark",
                        help=f"{', '.join(BENCHMARKS)}; {', '.join(LONG)} only by name or with --long")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="smaller and rougher: at most two minutes")
    parser.add_argument("--smoke", action="store_true", help="smallest sizes: shows that it runs, measures nothing")
    parser.add_argument("--long", action="store_true", help=f"{', '.join(LONG)} too")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
