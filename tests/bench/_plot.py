"""A plot of the memory over time, and the straight line that fits it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression

Points = Sequence[tuple[float, float]]


def fitted_line(points: Points) -> tuple[float, float]:
    """Slope per second, and the mean."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    slope = linear_regression(xs, ys).slope if len(points) > 1 else 0.0
    return slope, sum(ys) / len(ys)


def write_plot(path: Path, points: Points, title: str, *, line_from: float) -> None:
    """The curve in MB over seconds from 0, and the fitted line from ``line_from`` on."""
    from matplotlib.figure import Figure  # only here: it takes a second

    late = [point for point in points if point[0] >= line_from]
    slope, mean = fitted_line(late)
    middle, ends = sum(x for x, _ in late) / len(late), (line_from, points[-1][0])
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="s", ylabel="MB")
    axes.plot(*zip(*points, strict=True), linewidth=1)
    axes.plot(ends, [mean + slope * (x - middle) for x in ends])
    axes.set_ylim(0, 1.1 * max(y for _, y in points))
    figure.savefig(path)
