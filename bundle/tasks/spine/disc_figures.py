"""Figures of labeled discs on a sagittal slice.

The slice is shown in radiological view: head up, anterior to the left. The names are at the right, each with a line to
its disc, so that they hide neither the spine nor each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .discs.disc_points import Disc
from .discs.level_table import level_color
from .slab_geometry import voxel_size, world_to_voxels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 7.0
"""Height of a panel in inches."""
NAME_WIDTH = 1.5
"""Width of the column of names in inches."""
NAME_HEIGHT = 0.2
"""Minimum distance of two names in inches."""
MARGIN = 0.4
"""Height of the title in inches."""
GAMMA = 0.7
"""Exponent of the gray values: below 1, to show the spine next to fat that a surface coil makes bright."""
MIN_OPACITY = 0.25
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
        discs: predicted discs; the color shows the level, the opacity the confidence, which is next to the name.
        path: file to write.
        affine: 4 x 4, from (0, a, s) in the slice to world mm, RAS+.
        reference: reference discs, drawn as circles.
        attention: map ``(a, s)``, of the size of the slice or an integer fraction of it; drawn in a second panel.
        title: title of the figure.
        dpi: pixels per inch.
    """
    from matplotlib.figure import Figure

    width = panel_width(image, affine)
    titles = ["discs"] if attention is None else ["attention", "discs"]
    size = (len(titles) * width + NAME_WIDTH, HEIGHT + MARGIN)
    figure = Figure(figsize=size, facecolor="white")
    panels = [
        figure.add_axes((number * width / size[0], 0, width / size[0], HEIGHT / size[1]))
        for number in range(len(titles))
    ]
    for panel, name in zip(panels, titles, strict=True):
        draw_slice(panel, image, affine)
        if attention is not None:
            panel.text(0.02, 0.985, name, transform=panel.transAxes, color="white", fontsize=9, va="top")
    if attention is not None:
        draw_map(panels[0], attention, image.shape)
    references = list(reference)
    draw_discs(panels[-1], discs, affine, reference=references)
    if references:
        panels[-1].text(1.02, 0.01, "circle: reference", transform=panels[-1].transAxes, fontsize=8, color="0.35")
    figure.text(0.01, 1 - 0.5 * MARGIN / size[1], title, fontsize=9, va="center", wrap=True)
    figure.savefig(path, dpi=dpi)


def panel_width(image: np.ndarray, affine: np.ndarray, *, height: float = HEIGHT) -> float:
    """Return the width in inches of a panel of a height that shows a slice ``(A, S)`` without distortion."""
    spacing = voxel_size(affine)
    return float(height * image.shape[0] * spacing[1] / (image.shape[1] * spacing[2]))


def draw_slice(panel: Axes, image: np.ndarray, affine: np.ndarray) -> None:
    """Draw a slice ``(A, S)`` upright, anterior to the left."""
    from matplotlib.colors import PowerNorm

    low, high = np.percentile(image, [1, 99.5])
    norm = PowerNorm(GAMMA, low, high, clip=True)
    spacing = voxel_size(affine)
    panel.imshow(image.T, cmap="gray", origin="lower", norm=norm, aspect=spacing[2] / spacing[1])
    panel.set_xlim(image.shape[0] - 0.5, -0.5)
    panel.set_ylim(-0.5, image.shape[1] - 0.5)
    panel.set_axis_off()


def draw_map(panel: Axes, values: np.ndarray, shape: Sequence[int], *, high: float | None = None) -> None:
    """Draw a map over a slice of ``shape``, with an opacity that increases with the values.

    Args:
        panel: axes with a slice.
        values: map ``(a, s)`` whose cells are an integer number of pixels wide, the first at the corner of the slice.
        shape: shape of the slice.
        high: value with the full color; the largest of the map by default. Values of 0 and below are transparent.
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
    """Draw predicted discs as points and reference discs as circles.

    Args:
        panel: axes with a slice.
        discs: predicted discs.
        affine: 4 x 4, from (0, a, s) in the slice to world mm.
        reference: reference discs.
        names: write the names to the right of the panel.
        size: diameter of a point, in points.
    """
    from matplotlib.colors import to_rgba

    found, references = list(discs), list(reference)
    for disc, (a, s) in zip(references, pixels_of(references, affine), strict=True):
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
    """Return the pixels ``(n, 2)`` of discs in a slice, with fractions; pixel centers are at integers."""
    points = np.array([disc.position for disc in discs], dtype=float).reshape(-1, 3)
    return world_to_voxels(points, affine)[:, 1:]


def color_of(disc: Disc) -> str:
    """Return the color of the level of a disc; neighbors differ."""
    return level_color(disc.value)


def opacity_of(disc: Disc) -> float:
    """Return the opacity that shows the confidence of a disc."""
    confidence = 1.0 if disc.confidence is None else disc.confidence
    return MIN_OPACITY + (1 - MIN_OPACITY) * confidence


def spread(places: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Move places so that they are at least ``gap`` from each other and between ``low`` and ``high``.

    The order is kept. If they do not fit, they get a smaller, equal gap.

    Examples:
        >>> spread([1.0, 1.5, 9.0], gap=2.0, low=0.0, high=10.0).tolist()
        [0.5, 2.5, 9.0]
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
    """Write the names to the right of the panel, each with a line to its disc."""
    low, high = panel.get_ylim()
    height = panel.get_position().height * panel.figure.bbox.height / panel.figure.dpi
    line = NAME_HEIGHT * (high - low) / height
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
