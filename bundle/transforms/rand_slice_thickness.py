"""Thick slices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type
from torch.nn import functional


class RandSliceThicknessd(MapTransform, RandomizableTransform):
    """Give images thicker slices along a random axis: average over each slice, and interpolate back to the grid.

    MONAI's ``RandSimulateLowResolutiond`` makes all axes coarser alike.

    Args:
        keys: keys of the images ``(C, D, H, W)``, which are changed alike.
        prob: probability of thicker slices.
        max_thickness: largest thickness, in voxels of the image.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when ``max_thickness`` is less than 1.

    Examples:
        >>> thick = RandSliceThicknessd("image", prob=1.0).set_random_state(seed=0)
        >>> thick({"image": torch.rand(1, 12, 12, 12)})["image"].shape
        torch.Size([1, 12, 12, 12])
    """

    def __init__(
        self, keys: KeysCollection, *, prob: float = 0.3, max_thickness: float = 4.0, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if max_thickness < 1:
            raise ValueError(f"max_thickness must be 1 voxel or more, got {max_thickness}.")
        self.max_thickness = max_thickness

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return images with thicker slices, or as they are."""
        d = dict(data)
        self.randomize(None)
        axis, thickness = int(self.R.randint(3)), self.R.uniform(1.0, self.max_thickness)
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = convert_to_dst_type(_thickened(torch.as_tensor(d[key]), axis, thickness), d[key])[0]
        return d


def _thickened(values: torch.Tensor, axis: int, thickness: float) -> torch.Tensor:
    size = list(values.shape[1:])
    coarse = list(size)
    coarse[axis] = max(round(size[axis] / thickness), 1)
    slices = functional.interpolate(values.as_subclass(torch.Tensor)[None].float(), coarse, mode="area")
    return functional.interpolate(slices, size, mode="trilinear", align_corners=False)[0]
