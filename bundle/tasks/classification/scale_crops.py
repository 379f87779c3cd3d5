"""Crops of pictures at several scales, cut as they are needed, for the training of classifications."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type


class RandScaleCropd(Randomizable, MapTransform):
    """Cut a crop of a random scale from the middle of a picture ``(C, H, W)``, or take all of it, and resize it.

    Source: Zhang et al., Attention Residual Learning for Skin Lesion Classification, IEEE TMI 2019. The published code
    writes 61 crops a picture to files; here one is cut each time that a picture is seen. A crop has the aspect ratio of
    the picture and lies at random in a central region larger than itself: there by 500 pixels times its scale whatever
    the size of the picture, here by a share. Smoothing and interpolation are one step, as in :class:`.ResizeImaged`.

    Args:
        keys: keys of the pictures; all are cut alike, relative to their sizes.
        spatial_size: ``(H, W)`` to resize to.
        scales: sides of the crops, as shares of those of the picture, in (0, 1]; each is as likely.
        jitter: how much larger than a crop, relative to it, the central region is in which it lies.
        whole: probability of taking the whole picture; 1/61 in the original.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ValueError: when a number is out of its range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        spatial_size: Sequence[int],
        scales: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
        jitter: float = 0.25,
        whole: float = 0.2,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if len(spatial_size) != 2 or min(spatial_size) < 1:
            raise ValueError(f"spatial_size must be two positive numbers, got {list(spatial_size)}.")
        if not scales or not all(0 < scale <= 1 for scale in scales):
            raise ValueError(f"scales must be one or more numbers in (0, 1], got {list(scales)}.")
        if jitter < 0 or not 0 <= whole <= 1:
            raise ValueError(f"jitter must not be negative and whole lie in [0, 1], got {jitter} and {whole}.")
        self.spatial_size, self.scales, self.jitter, self.whole = tuple(spatial_size), list(scales), jitter, whole
        self.drawn = (1.0, 0.5, 0.5)

    def randomize(self, data: Any = None) -> None:
        """Draw scale and place of the crop."""
        everything = self.R.random() < self.whole
        scale = self.scales[self.R.randint(len(self.scales))]
        self.drawn = (1.0 if everything else scale, self.R.random(), self.R.random())

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut and resize."""
        d = dict(data)
        self.randomize()
        scale, *places = self.drawn
        for key in self.key_iterator(d):
            values = torch.as_tensor(d[key]).float()
            rows, columns = (
                self._side(side, scale, place) for side, place in zip(values.shape[1:], places, strict=True)
            )
            crop = torch.nn.functional.interpolate(
                values[None, :, rows, columns], size=self.spatial_size, mode="bilinear", antialias=True
            )
            d[key] = convert_to_dst_type(crop[0], d[key], dtype=torch.float32)[0]
        return d

    def _side(self, side: int, scale: float, place: float) -> slice:
        length = max(round(side * scale), 1)
        region = min(max(round(side * scale * (1 + self.jitter)), length), side)
        start = (side - region) // 2 + round((region - length) * place)
        return slice(start, start + length)
