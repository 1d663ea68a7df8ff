"""Writes the charts, and the tables of the pages, from the results that are kept: ``python -m tests.bench._pages``.

A table stands between ``<!-- figures: name -->`` and ``<!-- end -->``. What stands there is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from textwrap import fill

from . import _charts, hold, requests
from ._results import ROOT, Benchmark, Measured, Results, figure, load, table

PAGES = tuple(
    ROOT / name
    for name in (
        "README.md",
        "docs/explanation/how-fast.md",
        "docs/how-to/many-chats.md",
        "docs/how-to/many-processes.md",
    )
)
SECTION = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
OURS = "linq-typing"
FAST = "fast"  # the transport in README


def write() -> None:
    results = load()
    _charts.write(results)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(rendered(text, results), encoding="utf-8")


def rendered(text: str, results: Results) -> str:
    """The page with its tables as the results have them."""
    return SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found[2]](results)}\n\n{found[3]}", text)


# -- The tables


def in_your_code(results: Results) -> str:
    return _beside_others([*results["enter"].measured, *results["memory"].measured, *results["reply"].measured])


def first_request(results: Results) -> str:
    return _beside_others(results["first"].measured[:2])


def beginning(results: Results) -> str:
    return _beside_others(results["first"].measured[2:])


def importing(results: Results) -> str:
    return _beside_others(results["imports"].measured)


def leaving(results: Results) -> str:
    return _beside_others(results["leaving"].measured)


def by_transport(results: Results) -> str:
    """Each with its ratio to the transport alone."""
    found = results["requests"].measured
    names = list(found[0].against)
    rows = ([each.what, *(f"{figure(each.median(name))}<br>{each.ratio(name)}" for name in names)] for each in found)
    return table(["requests/s, and ratio to the transport alone", *names], rows)


def sharing(results: Results) -> str:
    return _beside_others(results["redis"].measured)


def killed(results: Results) -> str:
    return _crowds(results["crowd"])


def held(results: Results) -> str:
    return _crowds(results["hold"])


def _crowds(found: Benchmark) -> str:
    """A table for each crowd."""
    crowds: dict[str, list[Measured]] = {}
    for each in found.measured:
        crowd, what = each.what.split(": ")
        crowds.setdefault(crowd, []).append(each._replace(what=what))
    return "\n\n".join(_beside_others(found, heading=crowd) for crowd, found in crowds.items())


def machine(results: Results) -> str:
    """Benchmarks that were taken alike are named together."""
    alike: dict[str, list[str]] = {}
    for name, found in results.items():
        rough = "" if found.size == "full" else f" These are rough figures (`--{found.size}`)."
        alike.setdefault(f"{found.machine}.{rough}", []).append(name)
    lines = (f"- {', '.join(f'`{name}`' for name in names)}: {where}" for where, names in alike.items())
    return "\n".join(fill(line, 120, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def connections(results: Results) -> str:
    """Requests per second by distance and connections, of the transports."""
    found = [each for each in results["requests"].measured if "computing" not in each.what]
    names = list(found[0].against)
    return table(
        ["requests/s", *names], ([each.what, *(figure(each.median(name)) for name in names)] for each in found)
    )


def readme(results: Results) -> str:
    def of(benchmark: str, what: str) -> Measured:
        return next(each for each in results[benchmark].measured if what in each.what)

    entering, memory, blocked = of("enter", "async, back to back"), of("memory", "memory"), of("first", "blocked")
    rate, gap = of("requests", str(requests.FAR)), of("hold", hold.FIGURES["gap_max"][0])
    rows = [
        [entering.what, entering.shown(OURS), _range(entering)],
        [memory.what, memory.shown(OURS), _range(memory)],
        [blocked.what, blocked.shown(OURS), f"{blocked.shown('naive task')} for an asyncio task in that loop"],
        [
            f"requests/s over TLS, {rate.what}, {FAST}",
            figure(rate.median(FAST)),
            f"{figure(rate.median(rate.against[FAST]))} for the transport alone",
        ],
        [f"{gap.what}, {FAST}", gap.shown(FAST), f"{hold.LONGEST_GAP:g} s is what Linq allows"],
    ]
    return table(["what", OURS, "compared with"], rows)


def _range(measured: Measured) -> str:
    names = sorted((name for name in measured.values if name != OURS), key=measured.median)
    return f"{measured.shown(names[0])} ({names[0]}) to {measured.shown(names[-1])} ({names[-1]})"


def _beside_others(found: Iterable[Measured], heading: str = "what") -> str:
    """A row for each, a column for each candidate, and one for the ratios if there are any."""
    found = list(found)
    names = list(dict.fromkeys(name for each in found for name in each.values))
    rows = [[each.what, *(each.shown(name) if name in each.values else "" for name in names)] for each in found]
    headings = [heading, *names]
    if any(each.against for each in found):
        headings.append("ratio (lowest to highest round)")
        rows = [[*row, each.ratios()] for row, each in zip(rows, found, strict=True)]
    return table(headings, rows)


SECTIONS: Mapping[str, Callable[[Results], str]] = {
    "in-your-code": in_your_code,
    "first-request": first_request,
    "beginning": beginning,
    "importing": importing,
    "by-transport": by_transport,
    "connections": connections,
    "held": held,
    "killed": killed,
    "leaving": leaving,
    "machine": machine,
    "readme": readme,
    "sharing": sharing,
}


if __name__ == "__main__":
    write()
