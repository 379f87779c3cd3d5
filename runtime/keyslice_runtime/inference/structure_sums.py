"""Means of margin and entropy over structures and over their borders, from planes that come in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

NAMES = ("margin", "entropy", "border_margin", "border_entropy")
"""Numbers of a structure: means over its voxels, and over those of them that touch another class."""


class Planes(NamedTuple):
    """Labels ``(N, H, W)`` of some planes, and their margins and entropies, 0 in the background."""

    labels: np.ndarray
    margin: np.ndarray
    entropy: np.ndarray


class StructureSums:
    """Sum margin and entropy over structures, while two planes are in memory.

    A voxel is on the border of its structure if a voxel that shares a face has another label.

    Args:
        classes: number of classes.

    Examples:
        >>> sums = StructureSums(2)
        >>> labels = np.zeros((3, 3, 3), np.uint8)
        >>> labels[1, 1, 1] = 1
        >>> sums.add(Planes(labels, labels * 0.5, labels * 0.25))
        >>> sums.finish({"dot": 1})
        {'dot': {'margin': 0.5, 'entropy': 0.25, 'border_margin': 0.5, 'border_entropy': 0.25}}
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.sums = {name: np.zeros(classes) for name in NAMES}
        self.counts = {name: np.zeros(classes) for name in NAMES}
        self.before: np.ndarray | None = None
        self.pending: Planes | None = None

    def add(self, new: Planes) -> None:
        """Sum the planes whose next plane is known, and keep the last one."""
        if self.pending is not None:
            self._sum(self.pending, self.before, new.labels[0])
            self.before = self.pending.labels[-1]
        if len(new.labels) > 1:
            self._sum(Planes(*(values[:-1] for values in new)), self.before, new.labels[-1])
            self.before = new.labels[-2].copy()
        self.pending = Planes(*(values[-1:].copy() for values in new))

    def finish(self, label_names: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """Return the numbers of every structure with voxels, by its name."""
        if self.pending is not None:
            self._sum(self.pending, self.before, None)
            self.pending = None
        return {
            name: {
                kind: round(float(total[value] / self.counts[kind][value]), 4)
                for kind, total in self.sums.items()
                if self.counts[kind][value]
            }
            for name, value in label_names.items()
            if self.counts["margin"][value]
        }

    def _sum(self, planes: Planes, before: np.ndarray | None, after: np.ndarray | None) -> None:
        around = [plane[None] for plane in (before, after) if plane is not None]
        labels = np.concatenate([*around[: before is not None], planes.labels, *around[before is not None :]])
        start = int(before is not None)
        border = _border(labels)[start : start + len(planes.labels)]
        inside = planes.labels > 0
        for kind, mask in (("", inside), ("border_", inside & border)):
            values = planes.labels[mask]
            count = np.bincount(values, minlength=self.classes)
            for name in ("margin", "entropy"):
                weights = getattr(planes, name)[mask].astype(np.float64)
                self.sums[kind + name] += np.bincount(values, weights, minlength=self.classes)
                self.counts[kind + name] += count


def _border(labels: np.ndarray) -> np.ndarray:
    """Return the voxels with another label in a voxel that shares a face."""
    border = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        low, high = ((*[slice(None)] * axis, part) for part in (slice(None, -1), slice(1, None)))
        differs = labels[low] != labels[high]
        border[low] |= differs
        border[high] |= differs
    return border
