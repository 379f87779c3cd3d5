"""Figure of gates and key slices along the slices of the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.visualize.colors import COLORS

from .gates import LevelGates
from .input_slices import InputSlices

ENDS = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""Where the axes of a volume in RAS+ order begin and end."""


def save_gate_figure(
    levels: Sequence[tuple[LevelGates, InputSlices]],
    path: str | Path,
    labels: np.ndarray,
    label_names: Mapping[str, int],
    *,
    title: str,
) -> None:
    """Write a PNG with one panel per level: gates and key slices along the slices of the input.

    Args:
        levels: gates of every level, and the slices of the input along its axis.
        path: file to write.
        labels: label map ``(D, H, W)`` on the grid of the gates; bars mark the slices that hold a structure.
        label_names: value of every structure by its name.
        title: title of the figure.
    """
    from matplotlib.figure import Figure

    rows = (len(levels) + 1) // 2
    figure = Figure(figsize=(9, 2.2 * rows + 0.9), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, 2, sharey=True, squeeze=False).T.ravel()
    for panel, (level, slices) in zip(panels, levels, strict=False):
        _draw_level(panel, level, slices)
        _mark_structures(panel, labels, label_names, level.axis, slices)
    for panel in panels[len(levels) :]:
        panel.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=100)


def _draw_level(panel: Any, level: LevelGates, slices: InputSlices) -> None:
    places, gates = np.arange(len(slices.nearest)), level.gates[:, slices.nearest]
    first, last = slices.position_mm[[0, -1]]
    ends = ENDS[level.axis] if last > first else ENDS[level.axis][::-1]
    panel.fill_between(places, gates.min(0), gates.max(0), step="mid", color="0.85", label="gate: range over channels")
    panel.step(places, gates.mean(0), where="mid", color="black", label="gate: mean over channels")
    if level.keys is not None:
        shares = level.keys[:, slices.nearest].mean(0)
        panel.step(
            places, shares, where="mid", color=COLORS[5], linestyle="--", label="share of channels, slice is key"
        )
    panel.set_title(f"{level.level}: {len(gates)} channels, {level.own_slices} slices", fontsize=9)
    label = f"slice, {ends[0]} to {ends[1]} (0 at {first:.1f} mm, {places[-1]} at {last:.1f} mm)"
    panel.set_xlabel(label, fontsize=8)
    panel.set_ylabel("gate, share", fontsize=8)
    panel.set_ylim(-0.14, 1.02)
    panel.set_yticks([0, 0.5, 1])
    panel.tick_params(labelsize=8)


def _mark_structures(
    panel: Any, labels: np.ndarray, label_names: Mapping[str, int], axis: int, slices: InputSlices
) -> None:
    """Draw a bar under the curves along the slices that hold a structure."""
    plane = tuple(other for other in range(labels.ndim) if other != axis)
    for row, (name, value) in enumerate(label_names.items()):
        held = (labels == value).any(plane)[slices.nearest]
        heights = np.where(held, -0.04 - 0.05 * (row % 2), np.nan)
        color = COLORS[(value - 1) % len(COLORS)]
        panel.plot(heights, color=color, linewidth=3, label=f"slices with {name}")
