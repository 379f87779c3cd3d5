"""Overlay of a label map on its image: planes through every group of structures, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from bundle.utils.atomic_write import atomic_write

from .colors import COLORS
from .overlay_planes import AXES, Plane, View, Volume, sample_planes

WIDTH = 1200
"""Pixels of all planes of a row together."""

GAP, LINE, FONT_SIZE = 6, 22, 14
"""Distance of planes, height of a line of text, and its size, in pixels."""

OPACITY = 0.3
"""Of the color of a structure within its outline."""

BAR_MM = 10
"""Length of the scale bar; of a tenth of it in planes that are not twice as long."""

EDGES = (("P", "A"), ("L", "R"), ("L", "R"))
"""Letters at the left and right edge of a plane, by its axis."""


class Overlay:
    """Planes of an image with its structures, ready to be drawn; it keeps no reference to the volumes.

    Every group with labeled voxels has a row: the sagittal, coronal and axial plane through its center, and the
    complete coronal plane of the image, with a frame around the part that the second plane shows, unless it shows all.
    The patient's left is on the left.

    Args:
        image: volume and affine; sampled linearly.
        labels: label map and affine; on any grid, sampled by nearest neighbor.
        groups: value of every structure by its name, by the title of the group. The color of a structure follows from
            its place in its group; the legend omits a title that the name begins with, as in ``left_anterior``.

    Examples:
        >>> labels = np.zeros((20, 20, 20), np.uint8)
        >>> labels[5:9, 5:9, 5:9] = 1
        >>> overlay = Overlay((labels * 0.5, np.eye(4)), (labels, np.eye(4)), groups={"": {"cube": 1}})
        >>> overlay.draw().width
        1224
    """

    def __init__(
        self,
        image: tuple[np.ndarray, np.ndarray],
        labels: tuple[np.ndarray, np.ndarray],
        *,
        groups: Mapping[str, Mapping[str, int]],
    ) -> None:
        self.rows = sample_planes(Volume(*image), Volume(*labels), groups, width=WIDTH)
        self.names, self.colors = [""], [(0, 0, 0)]
        for title, names in groups.items():
            self.names += [name.removeprefix(f"{title}_") if title else name for name in names]
            self.colors += [ImageColor.getrgb(COLORS[place % len(COLORS)])[:3] for place in range(len(names))]

    def save(self, path: str | Path) -> None:
        """Write the figure as a PNG."""
        with atomic_write(Path(path)) as partial:
            self.draw().save(partial, format="PNG", compress_level=3)

    def draw(self) -> Image.Image:
        """Return the figure."""
        first = next(iter(self.rows.values()))
        columns, pixels = len(first), len(first[0].gray)
        legend, height = self._legend(), pixels + LINE + GAP
        size = (columns * (pixels + GAP) + GAP, len(self.rows) * height + LINE * len(legend) + GAP)
        canvas = Image.new("RGB", size)
        pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_SIZE)
        for row, (title, planes) in enumerate(self.rows.items()):
            for column, plane in enumerate(planes):
                left, top = GAP + column * (pixels + GAP), row * height + LINE
                canvas.paste(Image.fromarray(self._paint(plane)), (left, top))
                pen.text((left, top - 4), _title(title, plane.view), font=font, anchor="ls")
                _annotate(pen, font, plane, left, top)
            if columns > len(AXES):
                _frame(pen, planes[1].view, planes[-1].view, pixels, (left, top))
        for line, entries in enumerate(legend):
            for left, name, color in entries:
                top = len(self.rows) * height + line * LINE + GAP
                pen.rectangle((left, top, left + 11, top + 11), fill=color)
                pen.text((left + 18, top + 11), name, font=font, anchor="ls")
        return canvas

    def _paint(self, plane: Plane) -> np.ndarray:
        colors = np.array(self.colors, np.float32)[plane.structures]
        opacity = np.where(plane.structures > 0, np.where(_outline(plane.structures), 1, OPACITY), 0)[..., None]
        return (plane.gray[..., None] * (1 - opacity) + colors * opacity).astype(np.uint8)

    def _legend(self) -> list[list[tuple[int, str, tuple[int, ...]]]]:
        """Return the lines of the legend: left edge, name and color of every structure that a plane shows."""
        shown = np.zeros(len(self.names), bool)
        for plane in chain.from_iterable(self.rows.values()):
            shown |= np.bincount(plane.structures.ravel(), minlength=len(shown)) > 0
        entries = dict.fromkeys((self.names[number], self.colors[number]) for number in np.flatnonzero(shown) if number)
        font, left = ImageFont.load_default(FONT_SIZE), GAP
        lines: list[list[tuple[int, str, tuple[int, ...]]]] = []
        for name, color in entries:
            width = int(font.getlength(name)) + 40
            if not lines or left + width > WIDTH:
                lines.append([])
                left = GAP
            lines[-1].append((left, name, color))
            left += width
        return lines


def save_overlay(
    image: tuple[np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray],
    path: str | Path,
    *,
    groups: Mapping[str, Mapping[str, int]],
) -> None:
    """Write a PNG of a label map on its image, see :class:`Overlay`.

    Args:
        image: volume ``(D, H, W)`` and its affine, RAS+ in mm.
        labels: label map and its affine; its grid may be another one.
        path: file to write.
        groups: value of every structure by its name, by the title of the group, e.g. ``{"left": {"hippocampus": 1}}``.
    """
    Overlay(image, labels, groups=groups).save(path)


def _outline(structures: np.ndarray) -> np.ndarray:
    """Return the pixels with a neighbor of another structure."""
    outline = np.zeros(structures.shape, bool)
    across, up = structures[:, 1:] != structures[:, :-1], structures[1:] != structures[:-1]
    outline[:, 1:] |= across
    outline[:, :-1] |= across
    outline[1:] |= up
    outline[:-1] |= up
    return outline


def _title(title: str, view: View) -> str:
    place = f"{AXES[view.axis]}, {'xyz'[view.axis]} = {view.position:.0f} mm"
    return f"{title}: {place}" if title else place


def _annotate(pen: ImageDraw.ImageDraw, font: Any, plane: Plane, left: int, top: int) -> None:
    """Draw the letters of the sides and the scale bar."""
    pixels = len(plane.gray)
    right, bottom = left + pixels - 1, top + pixels - 1
    options: dict[str, Any] = {"font": font, "stroke_width": 1, "stroke_fill": "black"}
    for place, letter, anchor in zip((left + 5, right - 5), EDGES[plane.view.axis], ("lm", "rm"), strict=True):
        pen.text((place, top + pixels // 2), letter, anchor=anchor, **options)
    length_mm = BAR_MM if plane.view.side > 2 * BAR_MM else BAR_MM / 10
    end, length = right - 8, round(length_mm * pixels / plane.view.side)
    pen.rectangle((end - length + 1, bottom - 9, end, bottom - 7), fill="white")
    pen.text((end, bottom - 12), f"{length_mm:g} mm", anchor="rs", **options)


def _frame(pen: ImageDraw.ImageDraw, shown: View, complete: View, pixels: int, corner: tuple[int, int]) -> None:
    """Draw the border of one view in another one of the same axis, which has its upper left pixel at ``corner``."""
    scale = pixels / complete.side
    x = corner[0] + (shown.middle[0] - complete.middle[0] + complete.side / 2) * scale
    y = corner[1] + (complete.middle[1] - shown.middle[1] + complete.side / 2) * scale
    reach = shown.side / 2 * scale
    pen.rectangle((x - reach, y - reach, x + reach, y + reach), outline="white")
