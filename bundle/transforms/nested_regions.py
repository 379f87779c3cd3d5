"""Label maps from the scores of nested regions, as of a tumor, its core and the enhancing part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bundle.grid.corner_rule import ConfidenceMap
from bundle.grid.original_grid import LabelMapAssembler


class NestedRegions:
    """Make label maps from region scores: an assembler for :class:`bundle.inference.SlabInferer`.

    The network has one logit per region, for R nested regions. A voxel is in a region only if it is in all outer
    regions too; its label is the number of the innermost region that contains it. That is the arg-max of the class
    scores ``0, m_1, m_1 + m_2, ...`` with ``m_k`` the minimum of the logits of regions 1 to k, so that the original
    grid is restored as for any other segmentation. Do not set ``skip_constant`` of the inferer: it fills skipped
    windows with class scores, not with region scores.

    Args:
        regions: label values of every region, the outermost first: 1 to R, then 2 to R, and so on.
        confidence: as for :class:`bundle.grid.LabelMapAssembler`.

    Raises:
        ValueError: when the regions are not nested in that way.

    Examples:
        >>> regions = NestedRegions({"whole": [1, 2], "core": [2]})
        >>> label_map = regions.start(torch.zeros(1, 1, 2, 2, 2), classes=2, axis=0)
        >>> logits = torch.tensor([3.0, -1.0]).reshape(2, 1, 1, 1).expand(2, 2, 2, 2)
        >>> label_map.add(logits)
        >>> label_map.finish().unique().tolist()
        [1]
    """

    def __init__(self, regions: Mapping[str, Sequence[int]], *, confidence: Sequence[ConfidenceMap] = ()) -> None:
        count = len(regions)
        wanted = [list(range(first, count + 1)) for first in range(1, count + 1)]
        if not count or [sorted(values) for values in regions.values()] != wanted:
            raise ValueError(
                f"regions must be nested, the outermost first, with the label values {wanted}, got "
                f"{dict(regions)}; only such regions make a label map."
            )
        self.regions = dict(regions)
        self.assembler = LabelMapAssembler(confidence=confidence)

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> NestedRegionsAssembly:
        """Return what takes the slabs of one case.

        Args:
            image: image ``(1, C, D, H, W)``.
            classes: number of regions R that the network has scores of.
            axis: spatial axis along which slabs come.

        Raises:
            ValueError: when the network has another number of scores.
        """
        if classes != len(self.regions):
            raise ValueError(
                f"the network has {classes} channels, but there are the regions {', '.join(self.regions)}."
            )
        return NestedRegionsAssembly(self.assembler.start(image, classes=classes + 1, axis=axis))


class NestedRegionsAssembly:
    """Result of one case in the making, see :class:`NestedRegions`."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def add(self, scores: torch.Tensor) -> None:
        """Take the next slab of region scores ``(R, D, H, W)``."""
        self.writer.add(class_scores(scores))

    def finish(self) -> torch.Tensor:
        """Return the result of the inner assembler."""
        return self.writer.finish()


def class_scores(scores: torch.Tensor) -> torch.Tensor:
    """Return scores ``(1 + R, ...)`` of exclusive classes, whose arg-max is the depth, from nested regions' logits."""
    scores = scores.float()
    return torch.cat([torch.zeros_like(scores[:1]), scores.cummin(0).values.cumsum(0)])
