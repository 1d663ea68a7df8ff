"""A plot of one curve over time as an SVG, and the straight line that fits it best."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import linear_regression

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, MARGIN = 800, 300, 50


def fitted_line(points: Points) -> tuple[float, float]:
    """Slope per second, and the mean."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    slope = linear_regression(xs, ys).slope if len(points) > 1 else 0.0
    return slope, sum(ys) / len(ys)


def write_svg(path: Path, points: Points, title: str, *, line_from: float) -> None:
    """The curve in MB over seconds from 0, and the fitted line from ``line_from`` on."""
    right, top = points[-1][0] or 1.0, 1.1 * max(y for _, y in points)
    late = [point for point in points if point[0] >= line_from]
    slope, mean = fitted_line(late)
    middle = sum(x for x, _ in late) / len(late)
    line = [(x, mean + slope * (x - middle)) for x in (line_from, right)]
    body = [
        f'<text x="{MARGIN}" y="{MARGIN // 2}">{escape(title)}</text>',
        f'<path d="M{MARGIN} {MARGIN}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="black"/>',
        *(_mark(0, top * share, right, top, f"{top * share:.0f} MB", "end", -6, 4) for share in (0, 0.5, 1)),
        *(_mark(right * share, 0, right, top, f"{right * share:.0f} s", "middle", 0, 18) for share in (0.5, 1)),
        _curve(points, right, top, "steelblue", 1),
        _curve(line, right, top, "firebrick", 2),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13">'
    path.write_text("\n".join([head, *body, "</svg>", ""]))


def _place(x: float, y: float, right: float, top: float) -> tuple[float, float]:
    across, up = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN
    return MARGIN + across * x / right, HEIGHT - MARGIN - up * y / top


def _curve(points: Points, right: float, top: float, colour: str, width: int) -> str:
    places = (_place(x, y, right, top) for x, y in points)
    dots = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{dots}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _mark(x: float, y: float, right: float, top: float, text: str, anchor: str, dx: int, dy: int) -> str:
    across, down = _place(x, y, right, top)
    return f'<text x="{across + dx:.1f}" y="{down + dy:.1f}" text-anchor="{anchor}">{text}</text>'
