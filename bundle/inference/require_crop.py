"""Refusal of images that are not the crop of one region, where no regions are found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Transform

from bundle.io.input_checks import BadInputError

from .plausibility import REGION, Plausibility
from .region_finder import extent_mm


class NotACropError(BadInputError):
    """An image that is larger than the crops of one region for which the weights are meant."""


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
        if self.enabled and any(size > limit for size, limit in zip(sizes, self.largest_crop_mm, strict=True)):
            raise NotACropError(
                data["image"].meta["filename_or_obj"],
                f"has a size of {_size(sizes)} mm, and the weights segment crops of one region of at most "
                f"{_size(self.largest_crop_mm)} mm",
                "cut the image around the region; inference.json finds the regions of larger images",
            )
        return data


def _size(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:.0f}" for size in sizes)
