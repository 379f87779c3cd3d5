"""Augmentation of sagittal slabs that MONAI lacks: fields of view in mm.

For rotation, scale and translation use ``RandAffined``, whose affine is exact on a volume of one slice (rotate about
the first axis only). A sagittal slab must not be flipped.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform, SpatialCrop

from .slab_geometry import is_in_image, voxel_size, world_to_voxels

MARGIN = 15.0
"""Minimum distance in mm of the disc that a window is drawn for to the border of the window."""


class RandFieldOfViewd(RandomizableTransform, MapTransform):
    """Crop a slab ``(1, 1, A, S)`` to a random window that shows one or more of its discs.

    The size of the window is drawn in mm, then a disc in view, then the position of the window around that disc. Points
    outside the window become NaN: they are known to be out of view, even if later transforms pad the image.

    Args:
        keys: key of the slab.
        prob: probability of a crop.
        height: smallest and largest height of the window in mm, along S.
        depth: smallest and largest depth of the window in mm, along A.
        points_key: key of the points ``(n, 4)``: value, R, A, S in mm.

    Raises:
        ValueError: when there are several keys, or a range is not two positive, increasing numbers.

    Examples:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> crop = RandFieldOfViewd("image", prob=1.0, height=(40.0, 60.0), depth=(30.0, 30.0))
        >>> slab = MetaTensor(torch.zeros(1, 1, 100, 200), affine=torch.eye(4))
        >>> crop.set_random_state(0)({"image": slab, "points": np.array([[20, 0.0, 50.0, 90.0]])})["image"].shape
        torch.Size([1, 1, 30, 52])
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
            raise ValueError(f"the points belong to one image, got the keys {list(self.keys)}.")
        for name, sizes in (("height", height), ("depth", depth)):
            if len(sizes) != 2 or not 0 < sizes[0] <= sizes[1]:
                raise ValueError(f"{name} must be two positive, increasing numbers of mm, got {list(sizes)}.")
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
        pixels = world_to_voxels(points[:, 1:], affine)[:, 1:]
        start, end = self._window(image.shape[2:], voxel_size(affine)[1:], pixels)
        points[~((pixels >= start - 0.5) & (pixels <= end - 0.5)).all(1), 1:] = np.nan
        d[self.keys[0]] = SpatialCrop(roi_start=[0, *start], roi_end=[1, *end])(image)
        if self.points_key in d:
            d[self.points_key] = points
        return d

    def _window(self, shape: Sequence[int], spacing: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw the first and the last pixel (exclusive) of the window along A and S."""
        count = np.array(shape)
        sizes = np.array([self.R.uniform(low, high) for low, high in (self.depth, self.height)]) / spacing
        sizes = np.minimum(np.maximum(np.rint(sizes), 1), count).astype(int)
        margin = np.minimum(MARGIN / spacing, (sizes - 1) / 2)
        in_view = pixels[is_in_image(pixels, shape)]
        low, high = np.zeros(2), (count - sizes).astype(float)
        if len(in_view):
            disc = in_view[self.R.randint(len(in_view))]
            low = np.clip(np.ceil(disc + margin - sizes + 1), low, high)
            high = np.clip(np.floor(disc - margin), low, high)
        start = np.array([self.R.randint(int(a), int(b) + 1) for a, b in zip(low, high, strict=True)])
        return start, start + sizes
