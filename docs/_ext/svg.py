"""Boxes and arrows as SVG, in the colours of the page (`_static/custom.css`)."""

from __future__ import annotations

from html import escape
from math import hypot
from typing import NamedTuple


class Box(NamedTuple):
    """A box around its middle."""

    x: float
    y: float
    width: float
    height: float
    title: str
    subtitle: str = ""
    kind: str = "plain"

    def edge_towards(self, x: float, y: float) -> tuple[float, float]:
        """Where a line from the middle to that point leaves the box."""
        dx, dy = x - self.x, y - self.y
        half_width, half_height = self.width / 2 + 3, self.height / 2 + 3
        scale = min(half_width / abs(dx) if dx else 1e9, half_height / abs(dy) if dy else 1e9)
        return self.x + dx * scale, self.y + dy * scale


class Drawing:
    """Collects the parts of one SVG."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._size = f"{width:g} {height:g}"
        self._width = width
        self._title = title
        self._lines: list[str] = []
        self._texts: list[str] = []

    def box(self, box: Box) -> None:
        """Draw a box with its title, and a smaller line below."""
        left, top = box.x - box.width / 2, box.y - box.height / 2
        size = f'width="{box.width:g}" height="{box.height:g}" rx="8"'
        for kind in ("box", box.kind):  # tints are translucent
            self._lines.append(f'<rect class="{kind}" x="{left:g}" y="{top:g}" {size}/>')
        self.text(box.x, box.y + (5 if not box.subtitle else -2), box.title, "title")
        if box.subtitle:
            self.text(box.x, box.y + 16, box.subtitle, "subtitle")

    def text(self, x: float, y: float, text: str, kind: str, anchor: str = "middle") -> None:
        """Write one line."""
        self._texts.append(f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>')

    def arrow(
        self, start: Box, end: Box, text: str = "", bend: float = 0.0, at: float = 0.5,
        shift: tuple[float, float] = (0.0, -6.0),
    ) -> None:  # fmt: skip
        """Draw a curve from box to box, bent sideways by so many pixels."""
        dx, dy = end.x - start.x, end.y - start.y
        length = hypot(dx, dy) or 1.0
        cx, cy = (start.x + end.x) / 2 - dy / length * bend, (start.y + end.y) / 2 + dx / length * bend
        x1, y1 = start.edge_towards(cx, cy)
        x2, y2 = end.edge_towards(cx, cy)
        path = f"M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}"
        self._lines.append(f'<path class="arrow" d="{path}" marker-end="url(#head)"/>')
        x = (1 - at) ** 2 * x1 + 2 * at * (1 - at) * cx + at**2 * x2 + shift[0]
        y = (1 - at) ** 2 * y1 + 2 * at * (1 - at) * cy + at**2 * y2 + shift[1]
        for number, line in enumerate(filter(None, text.split("\n"))):
            self.text(x, y + 15 * number, line, "label")

    def svg(self) -> str:
        """The whole drawing."""
        head = (
            '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
            '<path class="head" d="M0 0L10 5L0 10z"/></marker>'
        )
        return (
            f'<div class="drawing"><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._size}" role="img" '
            f'style="min-width: {0.62 * self._width:.0f}px" aria-label="{escape(self._title)}"><defs>{head}</defs>'
            f"{''.join(self._lines)}{''.join(self._texts)}</svg></div>"
        )
