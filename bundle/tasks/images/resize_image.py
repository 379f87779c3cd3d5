"""Resizing of images to the input size of a network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, ensure_tuple


class ResizeImaged(MapTransform):
    """Resize images ``(C, H, W)`` with smoothing, and masks ``(1, H, W)`` by the nearest class.

    ``Resized`` of MONAI smooths a large image completely before it is reduced; here smoothing and interpolation are one
    step (``antialias`` of PyTorch), which is much faster. :class:`.RestoreImageSized` restores the original size.

    Args:
        keys: keys of the images and masks.
        spatial_size: ``(H, W)`` to resize to; the aspect ratio is not kept.
        label_keys: keys of the masks.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the size is not two positive numbers.

    Examples:
        >>> resize = ResizeImaged("image", spatial_size=(64, 64))
        >>> resize({"image": torch.rand(3, 100, 150)})["image"].shape
        torch.Size([3, 64, 64])
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
        """Resize the images and masks."""
        d = dict(data)
        for key in self.key_iterator(d):
            if tuple(d[key].shape[1:]) != self.spatial_size:
                resized = resize(torch.as_tensor(d[key]), self.spatial_size, is_label=key in self.label_keys)
                d[key] = convert_to_dst_type(resized, d[key], dtype=torch.float32)[0]
        return d


def resize(values: torch.Tensor, size: Sequence[int], *, is_label: bool) -> torch.Tensor:
    """Return an image or mask ``(C, H, W)`` at a size ``(H, W)``, as :class:`ResizeImaged` does."""
    options: dict[str, Any] = {"mode": "nearest-exact"} if is_label else {"mode": "bilinear", "antialias": True}
    return torch.nn.functional.interpolate(values[None].float(), size=tuple(size), **options)[0]
