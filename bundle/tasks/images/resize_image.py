"""Resizing of whole pictures to what a network takes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, ensure_tuple


class ResizeImaged(MapTransform):
    """Resize pictures ``(C, H, W)``, smoothly, and masks ``(1, H, W)``, to the nearest class.

    MONAI's ``Resized`` smooths the whole of a large picture before it makes it smaller; here smoothing and
    interpolation are one step (``antialias`` of PyTorch), which takes a small part of the time. The way back is
    :class:`.RestoreImageSized`.

    Args:
        keys: keys of the pictures and masks.
        spatial_size: ``(H, W)`` to resize to; the aspect ratio is not kept.
        label_keys: which of the keys are masks.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ValueError: when the size is not two positive numbers.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        spatial_size: Sequence[int],
        label_keys: KeysCollection = "label",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(spatial_size) != 2 or min(spatial_size) < 1:
            raise ValueError(f"spatial_size must be two positive numbers, got {list(spatial_size)}.")
        self.spatial_size, self.label_keys = tuple(spatial_size), ensure_tuple(label_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize the pictures and masks."""
        d = dict(data)
        for key in self.key_iterator(d):
            values = torch.as_tensor(d[key])
            if tuple(values.shape[1:]) != self.spatial_size:
                options: dict[str, Any] = {"mode": "bilinear", "antialias": True}
                if key in self.label_keys:
                    options = {"mode": "nearest-exact"}
                resized = torch.nn.functional.interpolate(values[None].float(), size=self.spatial_size, **options)[0]
                d[key] = convert_to_dst_type(resized, d[key], dtype=torch.float32)[0]
        return d
