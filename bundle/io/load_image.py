"""Loading of color images and their masks, with validation of the input."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from PIL import Image

from bundle.utils.label_names import ignored_value
from bundle.utils.parse_bool import parse_bool

from .images import StoredImage, color_values, orientation_conflict, read_image, read_mask
from .input_checks import GridMismatchError

logger = logging.getLogger(__name__)

MAX_STRETCH = 0.01
"""Largest relative difference of two aspect ratios that still count as the same; rounding makes some."""


class LoadColorImaged(MapTransform):
    """Load images as MetaTensors ``(3, H, W)``, float32 from 0 to 1, and masks as ``(1, H, W)`` of class numbers.

    Axes are rows and columns of the upright image. The metadata hold ``"filename_or_obj"``, ``"original_size"``
    (``[H, W]``), ``"orientation"`` (that of the file, EXIF) and, in ``"remarks"``, what was repaired or looks odd,
    which is also logged.

    Args:
        keys: keys of the paths to load.
        image_key: the image that a mask belongs to.
        label_key: which of the keys is a mask.
        levels: gray level of every class from 1 on, increasing.
        round_levels: take the nearest level in files without loss as well; see :func:`.image_files.read_mask`.
        resize_mask: bring a mask of another size but the same aspect ratio to the size of its image.
        ignore_label: gray level of pixels that nobody labeled, which losses and metrics leave out, as for ``ignore`` of
            nnU-Net; they become -1. None for none, or for that of ``"ignore"`` in ``classes``.
        classes: class numbers by name; None for any.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the levels do not increase from 1 to at most 255.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "skin.png")
        >>> Image.fromarray(np.full((6, 8, 3), 255, np.uint8)).save(file)
        >>> image = LoadColorImaged("image")({"image": file})["image"]
        >>> image.shape, image.max().item(), image.meta["original_size"]
        (torch.Size([3, 6, 8]), 1.0, [6, 8])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        image_key: str = "image",
        label_key: str = "label",
        levels: Sequence[int] = (255,),
        round_levels: bool | str = False,
        resize_mask: bool | str = False,
        ignore_label: int | None = None,
        classes: Mapping[str, int] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not levels or sorted({*levels, 0}) != [0, *levels] or levels[-1] > 255:
            raise ValueError(f"levels must be increasing gray levels from 1 to 255, one per class, got {list(levels)}.")
        self.image_key, self.label_key = image_key, label_key
        self.levels, self.ignore_label = _without_ignored(levels, ignore_label, classes or {})
        self.round_levels = parse_bool("round_levels", round_levels)
        self.resize_mask = parse_bool("resize_mask", resize_mask)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load and check.

        Raises:
            BadInputError: of the type that says what is wrong, see :mod:`bundle.io.images`;
                ``GridMismatchError`` for a mask of another size than its image.
        """
        files = {key: data[key] for key in self.key_iterator(data)}
        read = {key: self._read(key, file) for key, file in files.items()}
        if self.label_key in read and self.image_key in read:
            read[self.label_key] = self._fitted(files, read[self.image_key], read[self.label_key])
        for key, file in files.items():
            for remark in read[key].remarks:
                logger.warning("%s: %s", file, remark)
        return {**data, **{key: _tensor(files[key], image) for key, image in read.items()}}

    def _read(self, key: Hashable, file: str | Path) -> StoredImage:
        if key == self.label_key:
            return read_mask(file, self.levels, round_levels=self.round_levels, ignore_label=self.ignore_label)
        return read_image(file)

    def _fitted(self, files: Mapping[Hashable, str | Path], image: StoredImage, mask: StoredImage) -> StoredImage:
        (height, width), (mask_height, mask_width) = image.pixels.shape[:2], mask.pixels.shape
        conflict = orientation_conflict(image, mask)
        if conflict is not None:
            mask = replace(mask, remarks=(*mask.remarks, "; ".join(conflict)))
        if (height, width) == (mask_height, mask_width):
            return mask
        sizes = f"is {mask_width} x {mask_height} pixels, its image {files[self.image_key]} {width} x {height}"
        if abs(width * mask_height / (height * mask_width) - 1) > MAX_STRETCH:
            cause, remedy = conflict or ("of another aspect ratio", "name the mask of this image")
            raise GridMismatchError(files[self.label_key], f"{sizes}, {cause}", remedy)
        if not self.resize_mask:
            raise GridMismatchError(
                files[self.label_key], sizes, "save the mask at the image's size, or set resize_mask to true"
            )
        resized = Image.fromarray(mask.pixels.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST)
        remark = f"brought from {mask_width} x {mask_height} to {width} x {height} pixels"
        return StoredImage(np.asarray(resized).astype(mask.pixels.dtype), mask.orientation, (*mask.remarks, remark))


def _without_ignored(
    levels: Sequence[int], ignore_label: int | None, classes: Mapping[str, int]
) -> tuple[list[int], int | None]:
    """Return the gray levels of the classes, and that of the pixels to ignore."""
    number = ignored_value(classes)
    if ignore_label is None and number is not None:
        ignore_label = levels[number - 1] if number <= len(levels) else number
    return [level for level in levels if level != ignore_label], ignore_label


def _tensor(file: str | Path, image: StoredImage) -> MetaTensor:
    pixels = image.pixels
    if pixels.ndim == 3:
        values = torch.as_tensor(color_values(pixels))
    else:
        values = torch.as_tensor(pixels[None].astype(np.float32))
    meta = {
        "filename_or_obj": str(file),
        "original_size": list(pixels.shape[:2]),
        "orientation": image.orientation,
        "remarks": "; ".join(image.remarks),
    }
    return MetaTensor(values, meta=meta)
