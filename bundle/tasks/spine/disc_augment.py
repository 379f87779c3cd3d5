"""Augmentation of sagittal slabs that MONAI lacks: fields of view in mm, and other contrasts.

Rotation, scale and shift are ``RandAffined``'s, whose affine is exact on a volume of one slice (rotate about its first
axis alone). A sagittal slab cannot be flipped left-right, and is never to be flipped otherwise.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform, SpatialCrop
from monai.utils import convert_to_dst_type

MARGIN = 15.0
"""Least distance in mm of the disc that decides on a window to the window's border."""


class RandFieldOfViewd(RandomizableTransform, MapTransform):
    """Crop a slab ``(1, 1, A, S)`` to a window that shows from one to all of its discs.

    The window's size is drawn in mm, then a disc in view, then the window's place, so that the disc is in it. Points
    outside the window become NaN, which is to say that they are known to be out of view, though later transforms pad.

    Args:
        keys: key of the slab.
        prob: probability of a crop.
        height: smallest and largest height of the window in mm, along S.
        depth: smallest and largest depth of the window in mm, along A.
        points_key: key of the points ``(n, 4)``: value, R, A, S in mm.

    Raises:
        ValueError: when ``keys`` are several, or a range is not one of positive, rising numbers.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        prob: float = 0.5,
        height: Sequence[float] = (50.0, 400.0),
        depth: Sequence[float] = (90.0, 300.0),
        points_key: str = "points",
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if len(self.keys) != 1:
            raise ValueError(f"the points belong to one image; got the keys {list(self.keys)}.")
        for name, sizes in (("height", height), ("depth", depth)):
            if len(sizes) != 2 or not 0 < sizes[0] <= sizes[1]:
                raise ValueError(f"{name} must be two rising, positive numbers of mm, got {list(sizes)}.")
        self.height, self.depth, self.points_key = height, depth, points_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop, or not."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        image: MetaTensor = d[self.keys[0]]
        points = np.array(d.get(self.points_key, np.empty((0, 4))), dtype=float)
        affine = np.asarray(image.affine, dtype=float)
        pixels = ((points[:, 1:] - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)[:, 1:]
        start, end = self._window(image.shape[2:], np.linalg.norm(affine[:3, 1:3], axis=0), pixels)
        points[~((pixels >= start - 0.5) & (pixels <= end - 0.5)).all(1), 1:] = np.nan
        d[self.keys[0]] = SpatialCrop(roi_start=[0, *start], roi_end=[1, *end])(image)
        if self.points_key in d:
            d[self.points_key] = points
        return d

    def _window(self, shape: Sequence[int], spacing: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw the first and the end pixel of the window along A and S."""
        count = np.array(shape)
        sizes = np.array([self.R.uniform(low, high) for low, high in (self.depth, self.height)]) / spacing
        sizes = np.minimum(np.maximum(np.rint(sizes), 1), count).astype(int)
        margin = np.minimum(MARGIN / spacing, (sizes - 1) / 2)
        in_view = pixels[((pixels >= -0.5) & (pixels <= count - 0.5)).all(1)]
        low, high = np.zeros(2), (count - sizes).astype(float)
        if len(in_view):
            disc = in_view[self.R.randint(len(in_view))]
            low = np.clip(np.ceil(disc + margin - sizes + 1), low, high)
            high = np.clip(np.floor(disc - margin), low, high)
        start = np.array([self.R.randint(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)])
        return start, start + sizes


class RandIntensityMapd(RandomizableTransform, MapTransform):
    """Give images another contrast: map intensities by a random piecewise linear curve, rising or not.

    Discs are brighter than marrow in some sequences and darker in others, fat and liquid change places between T1 and
    T2. The curve goes through points at even steps from the least to the largest intensity, each shifted by a normal
    draw; the image keeps its mean and standard deviation.

    Args:
        keys: keys of the images; all get the same curve.
        prob: probability of a change.
        points: number of points of the curve, 2 or more.
        strength: standard deviation of their shifts, where 1 is the range of the intensities.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ValueError: when a number is out of range.
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
            d[key] = convert_to_dst_type(_mapped(torch.as_tensor(d[key]), steps, curve), d[key])[0]
        return d


def _mapped(image: torch.Tensor, steps: np.ndarray, curve: np.ndarray) -> np.ndarray:
    values = np.asarray(image, dtype=float)
    low, high = values.min(), values.max()
    if not high > low:
        return values
    result = np.interp((values - low) / (high - low), steps, curve)
    deviation = result.std()
    scale = values.std() / deviation if deviation > 0 else 0.0
    return (result - result.mean()) * scale + values.mean()
