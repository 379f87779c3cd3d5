"""Normalization and augmentation of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .geometry import is_anisotropic

AIR = -500.0
"""Lowest intensity below which an image without a named modality is taken for CT, in HU."""

UNNAMED = ("image", "volume", "scan", "channel_0", "0")
"""Names of a channel, in lower case, that say nothing about the modality."""

CT = re.compile(r"(^|[\W_])((nc|ce|cb|ld)?ct|ct[ap])([\W_]|$)", re.IGNORECASE)
"""How names of channels name CT, also CTA, CTP, CBCT, with, without contrast and of low dose."""

SIDES = re.compile(r"(?i:(^|[\W_])(left|right|lh|rh|lt|rt|l|r|sin|dex)([\W_]|$)|^(left|right))|[a-z](Left|Right|[LR]$)")
"""How names of structures name a side."""

KEYS = ["image", "label"]


def is_ct(channels: Sequence[str], print_: Mapping[str, Any]) -> bool:
    """Return whether the images are CT, by the name of the channel or by air of less than -500 HU."""
    if all(CT.search(name) for name in channels):
        return True
    return len(channels) == 1 and channels[0].lower() in UNNAMED and print_["lowest"] < AIR


def normalization(ct: bool, inside: Sequence[Mapping[str, float]]) -> tuple[dict[str, Any], str]:
    """Return the transform of intensities, and why."""
    if ct and len(inside) == 1:
        low, high, mean, sd = (inside[0][name] for name in ("p0.5", "p99.5", "mean", "sd"))
        scale = sd if sd > 0 else 1.0
        return {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": round(low, 3),
            "a_max": round(max(high, low + 1), 3),
            "b_min": round((low - mean) / scale, 4),
            "b_max": round((max(high, low + 1) - mean) / scale, 4),
            "clip": True,
        }, f"CT: clipped to {low:.0f} to {high:.0f} HU, the percentiles 0.5 and 99.5 inside of structures"
    if len(inside) == 1:
        return {
            "_target_": "bundle.transforms.StandardizeIntensityd",
            "keys": "image",
            "percentiles": [1.0, 99.0],
        }, "intensities without a unit: every image by its own mean and deviation, clipped at the percentiles 1 and 99"
    return {
        "_target_": "bundle.transforms.NormalizeContentd",
        "keys": "image",
    }, f"{len(inside)} channels: every channel of an image by its own mean and deviation"


def has_sides(names: Iterable[str]) -> bool:
    """Return whether a structure is named after a side.

    Examples:
        >>> has_sides(["spleen", "kidney_left"]), has_sides(["liver", "lung"])
        (True, False)
    """
    return any(SIDES.search(name) for name in names)


def augmentation(spacing: Sequence[float], *, ct: bool, mirror: bool) -> list[dict[str, Any]]:
    """Return the random transforms: the shipped recipe without shear and shift, in the plane of thick slices."""
    thick = max(range(3), key=lambda axis: spacing[axis])
    flat = is_anisotropic(spacing)
    rotation = [0.4 if not flat or axis == thick else 0.0 for axis in range(3)]
    scale = [0.25 if not flat or axis != thick else 0.0 for axis in range(3)]
    flip = {"_target_": "RandFlipd", "keys": KEYS, "prob": 0.5, "spatial_axis": 0}
    affine = {
        "_target_": "RandAffined",
        "keys": KEYS,
        "prob": 0.5 if ct else 0.8,
        "rotate_range": rotation,
        "scale_range": scale,
        "mode": ["bilinear", "nearest"],
        "padding_mode": "border",
    }
    low_resolution = {"_target_": "RandSimulateLowResolutiond", "keys": "image", "prob": 0.2, "zoom_range": [0.5, 1.0]}
    blur = {"_target_": "RandGaussianSmoothd", "keys": "image", "prob": 0.15}
    blur |= {f"sigma_{axis}": [0.3, 1.0] for axis in "xyz"}
    intensities = [
        {"_target_": "RandAdjustContrastd", "keys": "image", "prob": 0.3, "gamma": [0.7, 1.5]},
        {"_target_": "RandScaleIntensityd", "keys": "image", "prob": 0.3, "factors": 0.2 if ct else 0.3},
        {"_target_": "RandShiftIntensityd", "keys": "image", "prob": 0.3, "offsets": 0.2 if ct else 0.25},
        {"_target_": "RandGaussianNoised", "keys": "image", "prob": 0.2, "std": 0.1 if ct else 0.15},
    ]
    return [*([flip] if mirror else []), affine, low_resolution, blur, *intensities]
