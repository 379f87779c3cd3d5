"""Random crops of images at several scales, for the training of classifications."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type


class RandScaleCropd(Randomizable, MapTransform):
    """Cut a crop of a random scale from the center of an image ``(C, H, W)``, or keep all of it, and resize it.

    Source: Zhang et al., Attention Residual Learning for Skin Lesion Classification, IEEE TMI 2019. The published code
    writes 61 crops per image to files; here a new one is cut whenever an image is used. A crop has the aspect ratio of
    the image and a random position in a central region that is larger: in the source by 500 pixels times the scale,
    here by a fraction of the crop. Smoothing and interpolation are one step, as in :class:`.ResizeImaged`.

    Args:
        keys: keys of the images; all get the same crop, relative to their sizes.
        spatial_size: ``(H, W)`` to resize to.
        scales: sides of the crops as fractions of those of the image, in (0, 1], with equal probability.
        jitter: how much larger than a crop, relative to it, the central region of the crops is.
        whole: probability of using the complete image; 1/61 in the original.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a number is out of range.

    Examples:
        >>> crop = RandScaleCropd("image", spatial_size=(32, 32)).set_random_state(0)
        >>> crop({"image": torch.rand(3, 60, 90)})["image"].shape
        torch.Size([3, 32, 32])
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
        """Draw scale and position of the crop."""
        is_whole = self.R.random() < self.whole
        scale = self.scales[self.R.randint(len(self.scales))]
        self.drawn = (1.0 if is_whole else scale, self.R.random(), self.R.random())

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut and resize."""
        d = dict(data)
        self.randomize()
        scale, *places = self.drawn
        for key in self.key_iterator(d):
            values = torch.as_tensor(d[key]).float()
            rows, columns = (
                crop_side(side, scale, place, self.jitter) for side, place in zip(values.shape[1:], places, strict=True)
            )
            crop = torch.nn.functional.interpolate(
                values[None, :, rows, columns], size=self.spatial_size, mode="bilinear", antialias=True
            )
            d[key] = convert_to_dst_type(crop[0], d[key], dtype=torch.float32)[0]
        return d


def crop_side(side: int, scale: float, position: float, jitter: float) -> slice:
    """Return the range of a crop along one side of an image.

    Args:
        side: number of pixels of the image.
        scale: length of the crop as a fraction of the side.
        position: position of the crop in its central region, from 0 to 1.
        jitter: how much larger than the crop, relative to it, the central region is.
    """
    length = max(round(side * scale), 1)
    region = min(max(round(side * scale * (1 + jitter)), length), side)
    start = (side - region) // 2 + round((region - length) * position)
    return slice(start, start + length)
