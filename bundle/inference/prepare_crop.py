"""Preprocessing of images in which no regions are to be found."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import InvertibleTransform

from .region_finder import RegionFinder

SEARCHED = "searched"
"""Key in the metadata of an image in which regions are to be found; it has the voxels and intensities of its file."""


class PrepareCropd(InvertibleTransform):
    """Give an image the voxels and intensities of the network, unless regions are to be found in it.

    :class:`bundle.inference.RegionInferer` prepares each region that it has found.

    Args:
        preprocessing: invertible dictionary transform of ``"image"`` ``(C, D, H, W)``.
        finder: finds the regions; None for no search.
    """

    def __init__(self, preprocessing: InvertibleTransform, *, finder: RegionFinder | None = None) -> None:
        super().__init__()
        self.preprocessing, self.finder = preprocessing, finder

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        """Return the data with a prepared image, or with one that is marked as to be searched."""
        d = dict(data)
        if self.finder is None or not self.finder.is_searched(d["image"]):
            return self.preprocessing(d)
        d["image"].meta[SEARCHED] = True
        return d

    def inverse(self, data: Any) -> Any:
        """Undo the preprocessing of an image without regions."""
        return self.preprocessing.inverse(data)
