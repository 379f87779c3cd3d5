"""Figure of class activation maps over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from bundle.visualize.colors import COLORS
from bundle.visualize.overlay_planes import AXES

SIDES = ("left to right, mm", "posterior to anterior, mm", "inferior to superior, mm")
"""What the axes of a volume in RAS+ order are called in a figure."""


def save_map_figure(
    image: MetaTensor,
    labels: torch.Tensor,
    maps: torch.Tensor,
    path: str | Path,
    structures: Mapping[str, int],
    *,
    title: str,
    margin: int = 40,
) -> None:
    """Write a PNG with one row per structure: its map over the image, in three planes through its middle.

    Args:
        image: volume ``(1, D, H, W)`` in RAS+ order with its affine; shown from its 1st to its 99.5th percentile.
        labels: label map ``(D, H, W)``; the outline of the structure is drawn.
        maps: maps ``(structures, D, H, W)`` from 0 upwards, each shown on a scale from 0 to its largest value.
        path: file to write.
        structures: value of every structure by its name.
        title: title of the figure.
        margin: voxels shown on every side of the middle.
    """
    from matplotlib.figure import Figure

    values, spacing = image.detach().cpu().numpy()[0], np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    sizes = np.minimum(values.shape, 2 * margin) * spacing
    figure = Figure(figsize=(9, 3.3 * len(structures) + 0.4), layout="constrained", facecolor="white")
    grid = figure.subplots(len(structures), len(AXES), squeeze=False, width_ratios=sizes[[1, 0, 0]])
    for row, (name, value) in enumerate(structures.items()):
        mask, heat = (labels == value).numpy(), maps[row].numpy()
        heat = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
        center = _middle(mask)
        label = name if mask.any() else f"{name} (not predicted)"
        for axis, plane in enumerate(AXES):
            panel = grid[row, axis]
            shown = _draw(panel, values, heat, mask, _planes(center, axis, mask.shape, margin), spacing, value)
            panel.set_title(f"{label}, {plane}", fontsize=10)
    figure.colorbar(shown, ax=grid, shrink=0.6, label="share of the largest value of the map")
    figure.suptitle(f"{title}; line: outline of the structure", fontsize=11)
    figure.savefig(path, dpi=100)


def _draw(
    panel: Any,
    image: np.ndarray,
    heat: np.ndarray,
    mask: np.ndarray,
    planes: tuple[int | slice, ...],
    spacing: np.ndarray,
    value: int,
) -> Any:
    """Draw one plane; return the drawing of the map, for the color bar."""
    shown_part = {axis: place for axis, place in enumerate(planes) if isinstance(place, slice)}
    across, up = shown_part
    extent = [(edge - 0.5) * spacing[axis] for axis, place in shown_part.items() for edge in (place.start, place.stop)]
    low, high = np.percentile(image, [1, 99.5])
    panel.imshow(image[planes].T, cmap="gray", origin="lower", extent=extent, vmin=low, vmax=high)
    part = heat[planes].T
    shown = panel.imshow(
        part, cmap="inferno", origin="lower", extent=extent, vmin=0, vmax=1, alpha=0.75 * np.sqrt(part.clip(0, 1))
    )
    outline = mask[planes].T
    if outline.any() and not outline.all():
        color = COLORS[(value - 1) % len(COLORS)]
        panel.contour(outline, levels=[0.5], colors=[color], linewidths=1.2, origin="lower", extent=extent)
    panel.set_xlabel(SIDES[across], fontsize=8)
    panel.set_ylabel(SIDES[up], fontsize=8)
    panel.tick_params(labelsize=7)
    return shown


def _planes(center: Sequence[int], axis: int, shape: Sequence[int], margin: int) -> tuple[int | slice, ...]:
    window = [slice(max(c - margin, 0), min(c + margin, n)) for c, n in zip(center, shape, strict=True)]
    return tuple(int(center[i]) if i == axis else window[i] for i in range(3))


def _middle(mask: np.ndarray) -> list[int]:
    """Return the voxel of a structure that is closest to its center of mass; the middle voxel if it is empty."""
    voxels = np.argwhere(mask) if mask.any() else np.array([[size // 2 for size in mask.shape]])
    return [int(i) for i in voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()]]
