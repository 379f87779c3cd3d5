"""Random contrasts of tissues."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type


class RandContrastMapd(MapTransform, RandomizableTransform):
    """Map intensities through a random piecewise linear function, which may fall as well as rise.

    A network that is trained on one contrast (T1) with it also knows images in which the order of the tissues differs
    (T2, FLAIR), without label maps of all tissues as :class:`SynthesizeImaged` needs them. MONAI's
    ``RandHistogramShiftd`` keeps the order. The result has the mean and the standard deviation of the image.

    Args:
        keys: keys of the images ``(C, D, H, W)``, which are mapped alike.
        prob: probability of a new contrast.
        num_control_points: least and largest number of points, evenly spaced over the range of the image, that get
            random values; the function is linear between them.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when ``num_control_points`` is not an increasing pair of 2 or more.

    Examples:
        >>> contrast = RandContrastMapd("image", prob=1.0).set_random_state(seed=0)
        >>> contrast({"image": torch.rand(1, 12, 12, 12)})["image"].shape
        torch.Size([1, 12, 12, 12])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        prob: float = 0.3,
        num_control_points: tuple[int, int] = (3, 6),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.least, self.largest = num_control_points
        if not 2 <= self.least <= self.largest:
            raise ValueError(f"num_control_points must be two increasing numbers from 2, got {num_control_points}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return images with a random contrast, or as they are."""
        d = dict(data)
        self.randomize(None)
        targets = self.R.uniform(size=self.R.randint(self.least, self.largest + 1))
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = convert_to_dst_type(_mapped(np.asarray(d[key], dtype=np.float32), targets), d[key])[0]
        return d


def _mapped(values: np.ndarray, targets: np.ndarray) -> torch.Tensor:
    points = np.linspace(values.min(), values.max(), len(targets))
    mapped = np.interp(values, points, targets)
    spread = mapped.std()
    scale = values.std() / spread if spread else 1.0
    return torch.as_tensor((mapped - mapped.mean()) * scale + values.mean(), dtype=torch.float32)
