"""Figures of a run as SVG: histograms, Bland-Altman plots of volumes, ROC curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from .run_results import RunResults

WIDTH, HEIGHT, EDGE = 300, 170, 34
"""Size of a figure and of its margins, in pixels."""

BINS = 20
BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#777"
"""Colors of the palette of Okabe and Ito."""

SHOWN = ("volume_mm3", "dice", "predicted dice", "margin", "border_margin", "area_share", "mean_probability")
SHOWN_OF_CASES = ("probability", "count")
"""Numbers whose distributions are shown."""

Point = tuple[float, float]


def run_figures(run: RunResults) -> list[str]:
    """Return the figures of a run as SVG."""
    numbers: dict[str, list[tuple[float, bool]]] = {}
    for case in run.cases:
        for name, value in case.numbers().items():
            numbers.setdefault(name, []).append((value, case.state == "flagged"))
    wanted = [name for name in numbers if name.endswith((*SHOWN, *SHOWN_OF_CASES)) and len(numbers[name]) > 2]
    wanted = [name for name in wanted if "border_margin" in name or not name.endswith("border_margin")]
    figures = [histogram(name, numbers[name]) for name in wanted]
    figures += [bland_altman(name, pairs) for name, pairs in _volumes(run.scored).items() if len(pairs) > 2]
    return figures + [roc(name, curves) for name, curves in run.curves.items() if _roc_points(curves)]


def histogram(name: str, values: Sequence[tuple[float, bool]]) -> str:
    """Return the histogram of a number; the parts of flagged cases are orange.

    Args:
        name: title.
        values: value of every case, and whether it is flagged.
    """
    found = np.array([value for value, _ in values])
    flagged = np.array([is_flagged for _, is_flagged in values])
    edges = np.histogram_bin_edges(found, BINS)
    counts, bad = np.histogram(found, edges)[0], np.histogram(found[flagged], edges)[0]
    plot = _Plot(name, (edges[0], edges[-1]), (0, max(int(counts.max()), 1)))
    for left, right, count, bad_count in zip(edges[:-1], edges[1:], counts, bad, strict=True):
        plot.bar(left, right, 0, count, BLUE)
        plot.bar(left, right, 0, bad_count, ORANGE)
    return plot.svg("cases")


def bland_altman(name: str, pairs: Sequence[Point]) -> str:
    """Return the Bland-Altman plot of volumes: difference against mean, with the limits of agreement.

    Args:
        name: structure.
        pairs: predicted and reference volume of every case.
    """
    one, other = np.array(pairs).T
    means, differences = (one + other) / 2, one - other
    bias, spread = float(differences.mean()), float(differences.std(ddof=1))
    limits = (bias - 1.96 * spread, bias + 1.96 * spread)
    low, high = min(differences.min(), limits[0]), max(differences.max(), limits[1])
    plot = _Plot(f"{name}: volume - reference, mm3", (means.min(), means.max()), (low, high))
    for height, dash in ((bias, ""), *((limit, "4 3") for limit in limits)):
        plot.line((plot.xs[0], height), (plot.xs[1], height), ORANGE, dash)
    for point in zip(means, differences, strict=True):
        plot.dot(point)
    return plot.svg(f"bias {bias:.0f}, limits {limits[0]:.0f} to {limits[1]:.0f}")


def roc(name: str, curves: Mapping[str, Any]) -> str:
    """Return the ROC curve of a class from the points of ``curves.json``."""
    points = _roc_points(curves)
    plot = _Plot(f"{name}: ROC", (0, 1), (0, 1))
    plot.line((0, 0), (1, 1), GRAY, "4 3")
    for start, end in itertools.pairwise(points):
        plot.line(start, end, BLUE)
    return plot.svg("sensitivity against 1 - specificity")


def _roc_points(curves: Any) -> list[Point]:
    found = curves.get("roc") if isinstance(curves, dict) else None
    if not isinstance(found, dict):
        return []
    columns = [values for values in found.values() if isinstance(values, list)]
    return list(zip(columns[0], columns[1], strict=False)) if len(columns) > 1 else []


def _volumes(rows: Sequence[Mapping[str, str]]) -> dict[str, list[Point]]:
    """Return predicted and reference volumes by structure."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        if "reference_mm3" in row:
            found.setdefault(row["structure"], []).append((float(row["volume_mm3"]), float(row["reference_mm3"])))
    return found


class _Plot:
    """An SVG with axes; coordinates are those of the data."""

    def __init__(self, title: str, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.title, self.xs, self.ys = title, _widened(xs), _widened(ys)
        self.marks: list[str] = []

    def _place(self, point: Point) -> Point:
        across = (point[0] - self.xs[0]) / (self.xs[1] - self.xs[0])
        up = (point[1] - self.ys[0]) / (self.ys[1] - self.ys[0])
        return EDGE + across * (WIDTH - 2 * EDGE), HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)

    def bar(self, left: float, right: float, low: float, high: float, color: str) -> None:
        """Add a bar."""
        (x, y), (end, bottom) = self._place((left, high)), self._place((right, low))
        size = f'width="{max(end - x - 0.5, 0.5):.1f}" height="{bottom - y:.1f}"'
        self.marks.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{color}"/>')

    def line(self, start: Point, end: Point, color: str, dash: str = "") -> None:
        """Add a line."""
        (x, y), (right, bottom) = self._place(start), self._place(end)
        style = f'stroke="{color}"' + (f' stroke-dasharray="{dash}"' if dash else "")
        self.marks.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" {style}/>')

    def dot(self, point: Point) -> None:
        """Add a dot."""
        x, y = self._place(point)
        self.marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{BLUE}" fill-opacity=".7"/>')

    def svg(self, caption: str) -> str:
        """Return the figure."""
        left, bottom = EDGE, HEIGHT - EDGE
        texts = [
            (left, 16, "start", self.title),
            (left, HEIGHT - 20, "start", f"{self.xs[0]:.4g}"),
            (WIDTH - EDGE, HEIGHT - 20, "end", f"{self.xs[1]:.4g}"),
            (left - 3, bottom, "end", f"{self.ys[0]:.3g}"),
            (left - 3, EDGE + 4, "end", f"{self.ys[1]:.3g}"),
            (WIDTH // 2, HEIGHT - 4, "middle", caption),
        ]
        words = [f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in texts]
        axes = f'<path d="M{left} {EDGE}V{bottom}H{WIDTH - EDGE}" fill="none" stroke="{GRAY}"/>'
        head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">'
        return "".join([head, axes, *self.marks, *words, "</svg>"])


def _widened(ends: Sequence[float]) -> tuple[float, float]:
    low, high = float(ends[0]), float(ends[1])
    return (low, high) if high > low and math.isfinite(high - low) else (low - 0.5, low + 0.5)
