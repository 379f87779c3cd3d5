"""Standardization of intensities with little memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

SLAB = 16
"""Slices per step, so that temporaries stay small compared with the volume."""

SAMPLE = 2**20
"""Voxels at most that percentiles are computed from, spread evenly over the volume."""


class StandardizeIntensityd(MapTransform):
    """Clip every image ``(C, ...)`` at two percentiles and give it zero mean and unit variance over all its voxels.

    Without percentiles the numbers are those of MONAI's ``NormalizeIntensityd``, which needs three times the volume;
    here it is twice. Mean and variance are accumulated in float64, since intensities may reach 10^6. Clipping keeps a
    few bright vessels from deciding the contrast. A constant image becomes zero.

    Args:
        keys: keys of the images.
        percentiles: lower and upper percentile, 0 to 100; of more than 2**20 voxels an even sample is taken. None does
            not clip.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the percentiles are not two increasing numbers from 0 to 100.

    Examples:
        >>> image = torch.tensor([[1.0, 2.0, 3.0, 1000.0]])
        >>> StandardizeIntensityd("image", percentiles=[0, 75])({"image": image})["image"].mean().item()
        0.0
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        percentiles: Sequence[float] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if percentiles is not None and not (len(percentiles) == 2 and 0 <= percentiles[0] < percentiles[1] <= 100):
            raise ValueError(f"percentiles must be two increasing numbers from 0 to 100 or null, got {percentiles}.")
        self.percentiles = percentiles

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Standardize the images; the originals are not touched."""
        d = dict(data)
        for key in self.key_iterator(d):
            values = d[key].as_tensor() if isinstance(d[key], MetaTensor) else torch.as_tensor(d[key])
            limits = None if self.percentiles is None else _percentiles(values, self.percentiles)
            d[key] = convert_to_dst_type(_standardize(values, limits), d[key], dtype=torch.float32)[0]
        return d


def _percentiles(values: torch.Tensor, percentiles: Sequence[float]) -> tuple[float, float]:
    step = -(-values.numel() // SAMPLE)
    sample = values.reshape(-1)[::step].double()
    low, high = torch.quantile(sample, torch.tensor(percentiles, dtype=torch.float64, device=values.device) / 100)
    return float(low), float(high)


def _standardize(values: torch.Tensor, limits: tuple[float, float] | None) -> torch.Tensor:
    def doubled(slab: torch.Tensor) -> torch.Tensor:
        return slab.double() if limits is None else slab.double().clamp_(*limits)

    slabs = values.split(SLAB, dim=1)
    mean = sum(float(doubled(slab).sum()) for slab in slabs) / values.numel()
    variance = sum(float((doubled(slab) - mean).square_().sum()) for slab in slabs) / values.numel()
    scale = variance**-0.5 if variance > 0 else 1.0
    result = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    for slab, target in zip(slabs, result.split(SLAB, dim=1), strict=True):
        target.copy_((doubled(slab) - mean).mul_(scale))
    return result
