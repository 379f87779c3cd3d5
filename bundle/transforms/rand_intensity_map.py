"""Random contrasts of tissues."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type


class RandIntensityMapd(RandomizableTransform, MapTransform):
    """Change the contrast of images by a random piecewise linear map of the intensities, increasing or not.

    Liquid is dark in T1 and bright in T2; discs are brighter than marrow in some sequences and darker in others.
    MONAI's ``RandHistogramShiftd`` keeps the order of the tissues. The map has points at even steps from the smallest
    to the largest intensity, each with a normally distributed shift; the image keeps its mean and standard deviation.

    Args:
        keys: keys of the images; all get the same map.
        prob: probability of a change.
        points: number of points of the map, 2 or more.
        strength: standard deviation of their shifts, where 1 is the range of the intensities.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a number is out of range.

    Examples:
        >>> image = torch.linspace(0, 1, 16).reshape(1, 4, 4)
        >>> result = RandIntensityMapd("image", prob=1.0)({"image": image})["image"]
        >>> round(float(result.mean()), 4)
        0.5
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        prob: float = 0.3,
        points: int = 6,
        strength: float = 0.2,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        if points < 2 or strength < 0:
            raise ValueError(f"points must be 2 or more and strength 0 or more, got {points} and {strength}.")
        self.points, self.strength = points, strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Map the intensities, or not."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        steps = np.linspace(0, 1, self.points)
        curve = steps + self.R.normal(0, self.strength, self.points)
        for key in self.key_iterator(d):
            d[key] = convert_to_dst_type(_map_intensities(torch.as_tensor(d[key]), steps, curve), d[key])[0]
        return d


def _map_intensities(image: torch.Tensor, steps: np.ndarray, curve: np.ndarray) -> np.ndarray:
    values = np.asarray(image, dtype=float)
    low, high = values.min(), values.max()
    if not high > low:
        return values
    result = np.interp((values - low) / (high - low), steps, curve)
    deviation = result.std()
    scale = values.std() / deviation if deviation > 0 else 0.0
    return (result - result.mean()) * scale + values.mean()
