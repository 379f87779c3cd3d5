"""Images as a training keeps them in memory: no larger than it needs, in bytes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTrait
from monai.utils import convert_to_dst_type, ensure_tuple, ensure_tuple_rep

from .resize_image import resize

SCALE = 1 / 255

PART = 2**20
"""Values that are looked at together."""


class PackImaged(MapTransform):
    """Reduce images from 0 to 1 and their masks to what a training needs, and store them as uint8.

    With ``roi_size`` a side is at most the length of which the smallest random crop still fills the input of the
    network. Images that had 8 bits are stored as uint8; others, whose 16 bits would be lost, stay float32. Masks are
    stored as uint8. :class:`UnpackImaged` restores float32; without reduction the values are the same bit by bit.

    Args:
        keys: keys of the images ``(C, H, W)`` and masks ``(1, H, W)``.
        roi_size: ``(H, W)`` of the input of the network; None to keep the size.
        crop_scale: smallest share of each side that a random crop has.
        label_keys: keys of the masks.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a share is not in (0, 1].

    Examples:
        >>> image = PackImaged("image", roi_size=(64, 64), crop_scale=0.5)({"image": torch.ones(3, 500, 100)})["image"]
        >>> image.shape, image.dtype
        (torch.Size([3, 128, 100]), torch.uint8)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        roi_size: Sequence[int] | None = None,
        crop_scale: Sequence[float] | float = 1.0,
        label_keys: KeysCollection = "label",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_keys = ensure_tuple(label_keys)
        self.max_size: tuple[int, ...] | None = None
        if roi_size is not None:
            scales = ensure_tuple_rep(crop_scale, 2)
            if not all(0 < scale <= 1 for scale in scales):
                raise ValueError(f"crop_scale must lie in (0, 1], got {crop_scale}.")
            self.max_size = tuple(math.ceil(side / scale) for side, scale in zip(roi_size, scales, strict=True))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Reduce and pack."""
        d = dict(data)
        for key in self.key_iterator(d):
            values, is_label = torch.as_tensor(d[key]), key in self.label_keys
            scale = 1.0 if is_label else 255.0
            has_bytes = _has_bytes(values, scale)
            if self.max_size is not None:
                values = _reduce(values, self.max_size, is_label)
            packed = (values * scale).round().to(torch.uint8) if has_bytes else values
            d[key] = convert_to_dst_type(packed, d[key], dtype=packed.dtype)[0]
        return d


class UnpackImaged(MapTransform, RandomizableTrait):
    """Restore float32 images from 0 to 1 and masks from :class:`PackImaged`.

    For MONAI's ``CacheDataset`` it counts as random: what comes before it is cached.

    Args:
        keys: keys of the images and masks.
        label_keys: keys of the masks.
        allow_missing_keys: skip missing keys.
    """

    def __init__(
        self, keys: KeysCollection, *, label_keys: KeysCollection = "label", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_keys = ensure_tuple(label_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Unpack."""
        d = dict(data)
        for key in self.key_iterator(d):
            if d[key].dtype == torch.uint8:
                values = torch.as_tensor(d[key]).to(torch.float32)
                values = values if key in self.label_keys else values.mul_(SCALE)
                d[key] = convert_to_dst_type(values, d[key], dtype=torch.float32)[0]
        return d


def _has_bytes(values: torch.Tensor, scale: float) -> bool:
    """Return whether values times ``scale`` are integers from 0 to 255, part by part, which needs little memory."""
    for part in values.flatten().split(PART):
        scaled = part * scale
        if not bool(((scaled - scaled.round()).abs() < 1e-3).all() & (scaled >= 0).all() & (scaled < 255.5).all()):
            return False
    return True


def _reduce(values: torch.Tensor, max_size: Sequence[int], is_label: bool) -> torch.Tensor:
    size = [min(side, largest) for side, largest in zip(values.shape[1:], max_size, strict=True)]
    return values if list(values.shape[1:]) == size else resize(values, size, is_label=is_label)
