"""Mean margin and entropy of every structure, from class scores that come slab by slab."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

NAMES = ("margin", "entropy", "border_margin", "border_entropy")
"""Numbers of a structure: means over its voxels, and over those of them that touch another class."""


class Planes(NamedTuple):
    """Labels ``(N, H, W)`` of some planes, and their margins and entropies, 0 in the background."""

    labels: torch.Tensor
    margin: torch.Tensor
    entropy: torch.Tensor


class ConfidenceNumbers:
    """Sum margin and entropy over structures, while only one slab and two planes are in memory.

    The margin is the lead of the highest softmax probability over the second, the entropy that of the softmax, in units
    of ``log(K)``. A voxel is on the border of its structure if a voxel that shares a face has another label.

    Args:
        classes: number of classes K.
        axis: spatial axis along which slabs come.

    Examples:
        >>> numbers = ConfidenceNumbers(classes=2, axis=0)
        >>> scores = torch.zeros(2, 4, 4, 4)
        >>> scores[1, 1:3, 1:3, 1:3] = 20.0
        >>> labels, probability = numbers.add(scores)
        >>> numbers.finish({"cube": 1})["cube"]["margin"]
        1.0
    """

    def __init__(self, *, classes: int, axis: int) -> None:
        self.classes, self.axis = classes, axis
        self.sums = {name: np.zeros(classes) for name in NAMES}
        self.counts = {name: np.zeros(classes) for name in NAMES}
        self.before: torch.Tensor | None = None
        self.pending: Planes | None = None

    def add(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the next slab of scores ``(K, D, H, W)``.

        Returns:
            Its labels ``(D, H, W)``, and the highest probability of every labeled voxel.
        """
        labels = scores.argmax(0)
        inside = labels > 0
        probability = torch.softmax(scores[:, inside], dim=0)
        highest = probability.topk(2, dim=0).values
        margin, entropy = (torch.zeros(labels.shape, device=labels.device) for _ in range(2))
        margin[inside] = (highest[0] - highest[1]).float()
        entropy[inside] = torch.special.entr(probability).sum(0).float() / math.log(self.classes)
        self._take(Planes(*(values.movedim(self.axis, 0) for values in (labels, margin, entropy))))
        return labels, highest[0]

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

    def _take(self, new: Planes) -> None:
        """Sum the planes whose next plane is known, and keep the last one."""
        if self.pending is not None:
            self._sum(self.pending, self.before, new.labels[0])
            self.before = self.pending.labels[-1]
        if len(new.labels) > 1:
            self._sum(Planes(*(values[:-1] for values in new)), self.before, new.labels[-1])
            self.before = new.labels[-2].clone()
        self.pending = Planes(*(values[-1:].clone() for values in new))

    def _sum(self, planes: Planes, before: torch.Tensor | None, after: torch.Tensor | None) -> None:
        around = [plane[None] for plane in (before, after) if plane is not None]
        labels = torch.cat([*around[: before is not None], planes.labels, *around[before is not None :]])
        start = int(before is not None)
        border = _border(labels)[start : start + len(planes.labels)]
        inside = planes.labels > 0
        for kind, mask in (("", inside), ("border_", inside & border)):
            values = planes.labels[mask].cpu().numpy()
            count = np.bincount(values, minlength=self.classes)
            for name in ("margin", "entropy"):
                weights = getattr(planes, name)[mask].double().cpu().numpy()
                self.sums[kind + name] += np.bincount(values, weights, minlength=self.classes)
                self.counts[kind + name] += count


def _border(labels: torch.Tensor) -> torch.Tensor:
    """Return the voxels with another label in a voxel that shares a face."""
    border = torch.zeros_like(labels, dtype=torch.bool)
    for axis, size in enumerate(labels.shape):
        low, high = (labels.narrow(axis, start, size - 1) for start in (0, 1))
        differs = low != high
        border.narrow(axis, 0, size - 1).logical_or_(differs)
        border.narrow(axis, 1, size - 1).logical_or_(differs)
    return border
