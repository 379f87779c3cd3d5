"""Mean margin and entropy of every structure, from class scores that come slab by slab."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from .structure_sums import Planes, StructureSums


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
        self.sums = StructureSums(classes)

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
        planes = (values.movedim(self.axis, 0).cpu().numpy() for values in (labels, margin, entropy))
        self.sums.add(Planes(*planes))
        return labels, highest[0]

    def finish(self, label_names: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """Return the numbers of every structure with voxels, by its name."""
        return self.sums.finish(label_names)
