"""Pictures of labeled discs on a sagittal slice.

The slice is shown as radiologists look at it: head up, front to the left. The names stand behind the back, each on a
line to its disc, so that they neither hide the spine nor each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle.visualize.overlay import COLORS

from .discs.disc_points import Disc

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 7.0
"""Height of a panel in inches."""
NAME_WIDTH = 1.5
"""Width of the column of names in inches."""
LINE = 0.2
"""Least distance of two names in inches."""
MARGIN = 0.4
"""Height of the title in inches."""
GAMMA = 0.7
"""Exponent of the gray values: below 1, so that the spine can be seen before fat that a surface coil makes bright."""
LEAST_OPACITY = 0.25
"""Opacity of a disc of confidence 0."""


def save_disc_figure(
    image: np.ndarray,
    discs: Iterable[Disc],
    path: str | Path,
    *,
    affine: np.ndarray,
    reference: Iterable[Disc] = (),
    attention: np.ndarray | None = None,
    title: str = "",
    dpi: int = 110,
) -> None:
    """Write a PNG of a sagittal slice with the names of its discs.

    Args:
        image: slice ``(A, S)`` with axes to anterior and superior; shown from its 1st to its 99.5th percentile.
        discs: discs found; their color tells the level, their opacity the confidence, which stands beside the name.
        path: file to write.
        affine: 4 x 4, from (0, a, s) in the slice to the world in mm, RAS+.
        reference: discs known, drawn as circles.
        attention: map ``(a, s)`` at the size of the slice or a whole part of it; drawn over it in a second panel.
        title: title of the picture.
        dpi: pixels an inch.
    """
    from matplotlib.figure import Figure

    width = panel_width(image, affine)
    titles = ["discs"] if attention is None else ["attention", "discs"]
    whole = (len(titles) * width + NAME_WIDTH, HEIGHT + MARGIN)
    figure = Figure(figsize=whole, facecolor="white")
    panels = [
        figure.add_axes((number * width / whole[0], 0, width / whole[0], HEIGHT / whole[1]))
        for number in range(len(titles))
    ]
    for panel, name in zip(panels, titles, strict=True):
        draw_slice(panel, image, affine)
        if attention is not None:
            panel.text(0.02, 0.985, name, transform=panel.transAxes, color="white", fontsize=9, va="top")
    if attention is not None:
        draw_map(panels[0], attention, image.shape)
    known = list(reference)
    draw_discs(panels[-1], discs, affine, reference=known)
    if known:
        panels[-1].text(1.02, 0.01, "circle: reference", transform=panels[-1].transAxes, fontsize=8, color="0.35")
    figure.text(0.01, 1 - 0.5 * MARGIN / whole[1], title, fontsize=9, va="center", wrap=True)
    figure.savefig(path, dpi=dpi)


def panel_width(image: np.ndarray, affine: np.ndarray, *, height: float = HEIGHT) -> float:
    """Return the width in inches of a panel of some height that shows a slice ``(A, S)`` without distortion."""
    spacing = np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)
    return float(height * image.shape[0] * spacing[1] / (image.shape[1] * spacing[2]))


def draw_slice(panel: Axes, image: np.ndarray, affine: np.ndarray) -> None:
    """Draw a slice ``(A, S)`` upright, front to the left."""
    from matplotlib.colors import PowerNorm

    low, high = np.percentile(image, [1, 99.5])
    norm = PowerNorm(GAMMA, low, high, clip=True)
    spacing = np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)
    panel.imshow(image.T, cmap="gray", origin="lower", norm=norm, aspect=spacing[2] / spacing[1])
    panel.set_xlim(image.shape[0] - 0.5, -0.5)
    panel.set_ylim(-0.5, image.shape[1] - 0.5)
    panel.set_axis_off()


def draw_map(panel: Axes, values: np.ndarray, shape: Sequence[int], *, high: float | None = None) -> None:
    """Draw a map over a slice of ``shape``: the higher, the more of its color.

    Args:
        panel: axes with a slice.
        values: map ``(a, s)`` whose cells are whole numbers of pixels wide, the first at the corner of the slice.
        shape: that of the slice.
        high: value that gets the full color; the largest of the map by default. Values of 0 and below are clear.
    """
    full = float(values.max()) if high is None else high
    share = np.clip(values.T / full, 0, 1) if full > 0 else np.zeros_like(values.T)
    ends = [max(round(pixels / cells), 1) * cells - 0.5 for pixels, cells in zip(shape, values.shape, strict=True)]
    panel.imshow(
        share,
        cmap="plasma",
        origin="lower",
        extent=(-0.5, ends[0], -0.5, ends[1]),
        vmin=0,
        vmax=1,
        alpha=0.8 * np.sqrt(share),
        interpolation="bilinear",
        aspect=panel.get_aspect(),
    )


def draw_discs(
    panel: Axes,
    discs: Iterable[Disc],
    affine: np.ndarray,
    *,
    reference: Iterable[Disc] = (),
    names: bool = True,
    size: float = 7.0,
) -> None:
    """Draw discs as points and known ones as circles.

    Args:
        panel: axes with a slice.
        discs: discs found.
        affine: 4 x 4, from (0, a, s) in the slice to the world in mm.
        reference: discs known.
        names: write the names behind the back.
        size: diameter of a point, in points.
    """
    from matplotlib.colors import to_rgba

    found, known = list(discs), list(reference)
    for disc, (a, s) in zip(known, pixels_of(known, affine), strict=True):
        for color, width in (("black", 3.2), (color_of(disc), 1.6)):
            panel.plot(a, s, "o", markersize=2 * size, fillstyle="none", color=color, markeredgewidth=width)
    places = pixels_of(found, affine)
    for disc, (a, s) in zip(found, places, strict=True):
        fill = to_rgba(color_of(disc), opacity_of(disc))
        panel.plot(a, s, "o", markersize=size + 1.8, color="black", alpha=0.8)
        panel.plot(a, s, "o", markersize=size, markerfacecolor=fill, markeredgecolor="white", markeredgewidth=0.9)
    if names and found:
        _write_names(panel, found, places)


def pixels_of(discs: Sequence[Disc], affine: np.ndarray) -> np.ndarray:
    """Return the places ``(n, 2)`` of discs in a slice: indices (a, s), pixel centers at whole numbers."""
    inverse = np.linalg.inv(np.asarray(affine, dtype=float))
    points = np.array([disc.position for disc in discs], dtype=float).reshape(-1, 3)
    return points @ inverse[1:3, :3].T + inverse[1:3, 3]


def color_of(disc: Disc) -> str:
    """Return the color of a level; neighbors differ."""
    return COLORS[disc.value % len(COLORS)]


def opacity_of(disc: Disc) -> float:
    """Return the opacity that shows the confidence of a disc."""
    confidence = 1.0 if disc.confidence is None else disc.confidence
    return LEAST_OPACITY + (1 - LEAST_OPACITY) * confidence


def spread(places: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Move places apart as far as needed to be ``gap`` from each other and between ``low`` and ``high``.

    The order is kept. Where they do not fit, they get less than the gap, all the same.
    """
    count = len(places)
    gap = min(gap, (high - low) / max(count - 1, 1))
    order, steps = np.argsort(places, kind="stable"), gap * np.arange(count)
    wanted = np.clip(np.asarray(places, dtype=float)[order] - steps, low, high - gap * max(count - 1, 0))
    upward = np.maximum.accumulate(wanted)
    downward = np.minimum.accumulate(wanted[::-1])[::-1]
    result = np.empty(count)
    result[order] = (upward + downward) / 2 + steps
    return result


def _write_names(panel: Axes, discs: Sequence[Disc], places: np.ndarray) -> None:
    """Write the names right of the panel, each on a line to its disc."""
    low, high = panel.get_ylim()
    height = panel.get_position().height * panel.figure.bbox.height / panel.figure.dpi
    line = LINE * (high - low) / height
    heights = spread(places[:, 1].tolist(), line, low + 1.5 * line, high - line)
    edge = panel.get_xlim()[1]
    inch = (high - low) / height * float(panel.get_aspect())
    for disc, (a, s), at in zip(discs, places, heights, strict=True):
        color, opacity = color_of(disc), opacity_of(disc)
        text = disc.name if disc.confidence is None else f"{disc.name}  {disc.confidence:.2f}"
        style: dict[str, Any] = {"color": color, "alpha": 0.65, "linewidth": 0.8, "clip_on": False, "zorder": 1.5}
        panel.plot([a, edge, edge - 0.2 * inch], [s, s, at], **style)
        panel.plot(edge - 0.25 * inch, at, "o", markersize=6, color=color, alpha=opacity, clip_on=False)
        panel.text(edge - 0.35 * inch, at, text, fontsize=10, va="center", alpha=max(opacity, 0.65), clip_on=False)
