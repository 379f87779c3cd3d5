"""Standardization of intensities with little memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

SLAB = 16
"""Slices that are worked on at once, so that temporaries stay small beside the volume."""


class Standardized(MapTransform):
    """Give every image ``(C, ...)`` zero mean and unit variance over all its voxels.

    The numbers are those of MONAI's ``NormalizeIntensityd``, which needs three times the volume; here it is twice. Mean
    and variance are accumulated in float64, since intensities may reach 10^6. A constant image becomes zero.

    Args:
        keys: keys of the images.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(self, keys: KeysCollection, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Standardize the images; the originals are not touched."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = convert_to_dst_type(_standardize(torch.as_tensor(d[key])), d[key], dtype=torch.float32)[0]
        return d


def _standardize(image: torch.Tensor) -> torch.Tensor:
    values = image.as_tensor() if hasattr(image, "as_tensor") else image
    slabs = values.split(SLAB, dim=1)
    mean = sum(float(slab.sum(dtype=torch.float64)) for slab in slabs) / values.numel()
    variance = sum(float((slab.double() - mean).square_().sum()) for slab in slabs) / values.numel()
    scale = variance**-0.5 if variance > 0 else 1.0
    result = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    for slab, target in zip(slabs, result.split(SLAB, dim=1), strict=True):
        target.copy_((slab.double() - mean).mul_(scale))
    return result
