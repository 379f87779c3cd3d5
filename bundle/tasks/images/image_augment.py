"""Augmentation of images and their masks by one block of a config: the transforms of MONAI, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import (
    Compose,
    Rand2DElasticd,
    RandAffined,
    RandFlipd,
    RandGaussianSmoothd,
    RandGridDistortiond,
    RandRotate90d,
    RandZoomd,
    Transform,
)
from monai.utils import ensure_tuple

from .rand_color import RandColord

KINDS: dict[str, dict[str, Any]] = {
    "hflip": {"prob": 0.5},
    "vflip": {"prob": 0.5},
    "quarter_turn": {"prob": 0.5},
    "rotation": {"prob": 0.3, "degrees": 180.0},
    "shrink": {"prob": 0.2, "smallest": 0.8},
    "shear": {"prob": 0.2, "largest": 0.2},
    "elastic": {"prob": 0.2, "spacing": 24, "pixels": 2.5},
    "distortion": {"prob": 0.2, "cells": 5, "largest": 0.1},
    "color": {"prob": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 10.0},
    "blur": {"prob": 0.1, "sigma": 1.5},
}
"""All kinds of augmentation, in their order, with their options and defaults."""


class AugmentImaged(Compose):
    """Flip, rotate, shrink, shear, deform, recolor and blur images, and their masks by the same field.

    Color and blur change only the images; masks are interpolated by the nearest class. Outside the border, the image is
    mirrored (rotations, shear, elastic) or its border is repeated (shrink, distortion), as is the mask.

    ===============  =====================================================================================
    kind             options
    ===============  =====================================================================================
    ``hflip``        ``prob``: left-right flip
    ``vflip``        ``prob``: top-bottom flip
    ``quarter_turn`` ``prob``: 90, 180 or 270 degrees; height and width may swap
    ``rotation``     ``prob``; ``degrees``: largest angle in both directions
    ``shrink``       ``prob``; ``smallest``: smallest size relative to the image
    ``shear``        ``prob``; ``largest``: largest shear factor
    ``elastic``      ``prob``; ``spacing``: pixels between control points; ``pixels``: scale of their offsets
    ``distortion``   ``prob``; ``cells`` of the grid per side; ``largest``: relative change of a cell
    ``color``        ``prob``; ``brightness``, ``contrast``, ``saturation``, ``hue``: see :class:`.RandColord`
    ``blur``         ``prob``; ``sigma``: largest standard deviation in pixels
    ===============  =====================================================================================

    Args:
        keys: keys of the images ``(3, H, W)`` and masks ``(1, H, W)``.
        label_keys: keys of the masks.
        kinds: options of the kinds to apply; missing options have their default in :data:`KINDS`. None for all kinds
            with their defaults.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a kind or an option is unknown.

    Examples:
        >>> import torch
        >>> augment = AugmentImaged(["image", "label"], kinds={"hflip": {"prob": 1.0}, "color": {}})
        >>> case = {"image": torch.rand(3, 32, 48), "label": torch.zeros(1, 32, 48)}
        >>> augment(case)["image"].shape
        torch.Size([3, 32, 48])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        label_keys: KeysCollection = "label",
        kinds: Mapping[str, Mapping[str, Any]] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        all_keys, labels = ensure_tuple(keys), ensure_tuple(label_keys)
        images = [key for key in all_keys if key not in labels]
        options = complete_kinds(KINDS if kinds is None else kinds)
        common = {"allow_missing_keys": allow_missing_keys}
        modes = ["nearest" if key in labels else "bilinear" for key in all_keys]
        self.keys = all_keys
        super().__init__(
            [
                _BUILDERS[kind](images if kind in ("color", "blur") else all_keys, modes, options[kind], common)
                for kind in KINDS
                if kind in options and (images or kind not in ("color", "blur"))
            ]
        )

    def __call__(
        self, input_: Any, start: int = 0, end: int | None = None, threading: bool = False, lazy: bool | None = None
    ) -> Any:
        """Augment; other entries of a case are kept as they are, as ``Rand2DElasticd`` would turn them into tensors."""
        chosen = {key: input_[key] for key in self.keys if key in input_}
        return {**input_, **super().__call__(chosen, start, end, threading, lazy)}


def complete_kinds(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the options of the kinds, completed by their defaults.

    Raises:
        ValueError: when a kind or an option is unknown.
    """
    for kind, options in kinds.items():
        if kind not in KINDS:
            raise ValueError(f"unknown kind of augmentation {kind!r}; the kinds are {', '.join(KINDS)}.")
        unknown = [name for name in options if name not in KINDS[kind]]
        if unknown:
            raise ValueError(f"{kind} has no option {unknown[0]!r}; its options are {', '.join(KINDS[kind])}.")
    return {kind: {**KINDS[kind], **options} for kind, options in kinds.items()}


Builder = Callable[[Sequence[Any], Sequence[str], Mapping[str, Any], Mapping[str, Any]], Transform]


def _flip(axis: int) -> Builder:
    return lambda keys, modes, options, common: RandFlipd(keys, **options, spatial_axis=axis, **common)


def _quarter_turn(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    return RandRotate90d(keys, **options, max_k=3, **common)


def _rotation(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    angle = float(np.radians(options["degrees"]))
    return RandAffined(
        keys, prob=options["prob"], rotate_range=[angle], mode=modes, padding_mode="reflection", **common
    )


def _shrink(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    exact = ["nearest-exact" if mode == "nearest" else mode for mode in modes]
    return RandZoomd(
        keys,
        prob=options["prob"],
        min_zoom=options["smallest"],
        max_zoom=1.0,
        mode=exact,
        padding_mode="edge",
        **common,
    )


def _shear(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    return RandAffined(
        keys,
        prob=options["prob"],
        shear_range=[options["largest"]] * 2,
        mode=modes,
        padding_mode="reflection",
        **common,
    )


def _elastic(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    return Rand2DElasticd(
        keys,
        spacing=(options["spacing"], options["spacing"]),
        magnitude_range=(options["pixels"] / 2, options["pixels"]),
        prob=options["prob"],
        mode=modes,
        padding_mode="reflection",
        **common,
    )


def _distortion(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    return RandGridDistortiond(
        keys,
        num_cells=options["cells"],
        prob=options["prob"],
        distort_limit=options["largest"],
        mode=modes,
        padding_mode="border",
        **common,
    )


def _color(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    return RandColord(keys, **options, **common)


def _blur(keys: Any, modes: Any, options: Any, common: Any) -> Transform:
    sigma = (0.25, options["sigma"])
    return RandGaussianSmoothd(keys, prob=options["prob"], sigma_x=sigma, sigma_y=sigma, **common)


_BUILDERS: dict[str, Builder] = {
    "hflip": _flip(1),
    "vflip": _flip(0),
    "quarter_turn": _quarter_turn,
    "rotation": _rotation,
    "shrink": _shrink,
    "shear": _shear,
    "elastic": _elastic,
    "distortion": _distortion,
    "color": _color,
    "blur": _blur,
}
