"""Refusal of images that are not the crop of one region, where no regions are found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Transform

from bundle.utils.lengths import is_above

from .plausibility import REGION, Plausibility
from .region_finder import extent_mm
from .result_errors import not_a_crop


class RequireCropd(Transform):
    """Refuse an image that is not the crop of one region, for workflows that find no regions.

    Weights that know no plausible results of regions (:class:`.Plausibility`) take every image.

    Args:
        checkpoint: file of the weights; None for none.
        largest_crop_mm: an image of at most this size along every axis is a crop.
    """

    def __init__(self, checkpoint: str | Path | None, *, largest_crop_mm: Sequence[float]) -> None:
        super().__init__()
        self.largest_crop_mm = list(largest_crop_mm)
        self.enabled = Plausibility(checkpoint).is_known(REGION)

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Return the data.

        Raises:
            NotACropError: when the ``"image"`` ``(C, D, H, W)`` is not a crop.
        """
        sizes = extent_mm(data["image"])
        limits = zip(sizes, self.largest_crop_mm, strict=True)
        if self.enabled and any(is_above(size, limit) for size, limit in limits):
            remedy = "cut the image around the region; inference.json finds the regions of larger images"
            raise not_a_crop(data["image"].meta["filename_or_obj"], sizes, self.largest_crop_mm, remedy=remedy)
        return data
