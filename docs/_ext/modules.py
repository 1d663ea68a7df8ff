"""The drawing of the modules and what imports what, generated from the imports in `src`.

A package is one box. Arrows that follow from others are left out: if A imports B and B imports C, there is none from A
to C. A box stands directly below the lowest one that imports it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from svg import Box, Drawing

import linq_typing

SOURCE = Path(linq_typing.__file__).parent
ROOT = "linq_typing"
WIDTH, ROW, BOX_HEIGHT, GAP = 1000, 92, 44, 18

Graph = dict[str, set[str]]


def box_of(module: str) -> str:
    """The box that a module belongs to: itself, or its package."""
    first = module.removeprefix(ROOT).strip(".").partition(".")[0]
    return first or "__init__"


def modules() -> dict[str, list[str]]:
    """The boxes, each with the modules in it."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found.setdefault(parts[0], []).append(".".join(parts[1:] or parts))
    found.pop("__main__", None)
    return found


def imports(path: Path) -> Iterator[str]:
    """The library's own modules that a file imports."""
    package = [ROOT, *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == ROOT)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            if origin == ROOT:  # `from . import _sends`, or a name of the public face
                yield from (f"{ROOT}.{alias.name}" if _is_module(alias.name) else ROOT for alias in node.names)
            elif origin.startswith(f"{ROOT}."):
                yield origin


def _is_module(name: str) -> bool:
    return (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").exists()


def graph() -> Graph:
    """Which box imports which others."""
    found: Graph = {box: set() for box in modules()}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[0] in found:
            found[parts[0]] |= {box_of(name) for name in imports(path)} - {parts[0]}
    return found


def depths(of: Graph) -> dict[str, int]:
    """The row of each box, counted from the top: the one below its lowest importer."""
    found = dict.fromkeys(of, 0)
    for box in reversed(list(TopologicalSorter(of).static_order())):
        for other in of[box]:
            found[other] = max(found[other], found[box] + 1)
    return found


def reduced(of: Graph) -> Graph:
    """The graph without the arrows that follow from others."""
    reach: Graph = {}
    for box in TopologicalSorter(of).static_order():
        reach[box] = of[box].union(*(reach[other] for other in of[box]))
    return {box: {to for to in of[box] if not any(to in reach[other] for other in of[box])} for box in of}


def rows(of: Graph) -> list[list[str]]:
    """The boxes by row, from the top, each near the middle of what it is connected to."""
    depth = depths(of)
    found = [sorted(box for box in of if depth[box] == row) for row in range(max(depth.values()) + 1)]
    links = {box: [other for other in of if other in of[box] or box in of[other]] for box in of}
    for _ in range(8):
        place = {box: (index + 0.5) / len(row) for row in found for index, box in enumerate(row)}
        for row in found:
            row.sort(key=lambda box: sum(place[other] for other in links[box]) / max(1, len(links[box])))
    return found


def diagram() -> str:
    """The SVG."""
    whole, arrows = modules(), reduced(graph())
    lines = rows(graph())
    drawing = Drawing(WIDTH, ROW * len(lines), "The modules of linq-typing and what they import")
    boxes: dict[str, Box] = {}
    for number, row in enumerate(lines):
        width = min(190, WIDTH / len(row) - GAP)
        for index, name in enumerate(row):
            x, count = WIDTH * (index + 0.5) / len(row), len(whole[name])
            subtitle = f"package of {count} modules" if count > 1 else ""
            boxes[name] = Box(x, ROW * number + ROW / 2, width, BOX_HEIGHT, name, subtitle, _kind(name))
    for name, others in arrows.items():
        for other in sorted(others):
            drawing.arrow(boxes[name], boxes[other])
    for box in boxes.values():
        drawing.box(box)
    return drawing.svg()


def _kind(name: str) -> str:
    if name in ("sandbox", "testing", "cli", "commands", "demo", "instrumentation"):
        return "tool"
    return {"_core": "pure", "_engine": "engine"}.get(name, "plain")
