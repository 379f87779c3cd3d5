"""Overlay of a label map on its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bundle.utils.label_names import structures_of

COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")
"""The palette of Okabe and Ito, which people with color vision deficiency can distinguish; it repeats."""

AXES = ("sagittal", "coronal", "axial")


def save_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    path: str | Path,
    label_names: Mapping[str, int],
    *,
    centers: Sequence[Sequence[int]],
    titles: Sequence[str],
    margin: int = 40,
) -> None:
    """Write a PNG with the sagittal, coronal and axial plane through every center, one row a center.

    Args:
        image: volume ``(D, H, W)`` in RAS+ order; shown from its 1st to its 99.5th percentile.
        labels: label map of the same shape.
        path: file to write.
        label_names: value of every structure by its name, for the colors and the legend.
        centers: voxels that the planes go through.
        titles: one a center.
        margin: voxels shown to every side of a center.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    label_names = structures_of(label_names)
    low, high = np.percentile(image, [1, 99.5])
    figure = Figure(figsize=(9, 3.2 * len(centers)), layout="constrained", facecolor="white")
    grid = figure.subplots(len(centers), len(AXES), squeeze=False)
    for row, (center, title) in enumerate(zip(centers, titles, strict=True)):
        for axis, name in enumerate(AXES):
            panel, planes = grid[row, axis], _planes(center, axis, image.shape, margin)
            panel.imshow(image[planes].T, cmap="gray", origin="lower", vmin=low, vmax=high)
            panel.imshow(_colored(labels[planes].T, label_names), origin="lower", interpolation="nearest")
            panel.set_title(f"{title}, {name}", fontsize=10)
            panel.set_axis_off()
    patches = [Patch(color=_color(value), label=structure) for structure, value in label_names.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.savefig(path, dpi=120)


def _planes(center: Sequence[int], axis: int, shape: Sequence[int], margin: int) -> tuple[int | slice, ...]:
    window = [slice(max(c - margin, 0), min(c + margin, n)) for c, n in zip(center, shape, strict=True)]
    return tuple(int(center[i]) if i == axis else window[i] for i in range(3))


def _color(value: int) -> str:
    return COLORS[(value - 1) % len(COLORS)]


def _colored(labels: np.ndarray, label_names: Mapping[str, int]) -> np.ndarray:
    from matplotlib.colors import to_rgba

    rgba = np.zeros((*labels.shape, 4))
    for value in label_names.values():
        rgba[labels == value] = to_rgba(_color(value), alpha=0.55)
    return rgba
