"""Reading of 2D color images with masks or classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bundle.io.images import StoredImage, orientation_conflict, read_image, read_mask

from .findings import Reading
from .items import Item
from .signatures import digest, signature
from .thumbnails import image_thumbnail


def read_image_item(
    item: Item, *, levels: Sequence[int] = (255,), round_levels: bool = False, ignore_label: int | None = None
) -> Reading:
    """Read and check an item of the kind ``"images"``.

    Args:
        item: the item.
        levels: gray level of every class from 1 on, increasing.
        round_levels: take the nearest level in files without loss as well.
        ignore_label: gray level of pixels that nobody labeled; None for none.
    """
    reading = Reading(item)
    file = item.images[0]
    image = reading.attempt(partial(read_image, file))
    if image is not None:
        _describe(reading, file, image)
    options: dict[str, Any] = {"round_levels": round_levels, "ignore_label": ignore_label}
    read = partial(read_mask, item.label or "", [level for level in levels if level != ignore_label], **options)
    mask = reading.attempt(read) if item.label else None
    if mask is not None:
        _describe_mask(reading, mask, image)
    if item.classes is not None:
        _check_classes(reading, item.classes)
    if image is not None:
        pixels = _eight_bits(image.pixels)
        reading.thumbnail = image_thumbnail(pixels, mask.pixels.clip(0).astype(np.uint8) if mask is not None else None)
    return reading


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _describe(reading: Reading, file: str, image: StoredImage) -> None:
    pixels = image.pixels
    share = pixels.reshape(-1, 3).mean(axis=0) / np.iinfo(pixels.dtype).max
    reading.facts |= {
        "size": list(pixels.shape[:2]),
        "bits": 8 * pixels.itemsize,
        "color": [round(float(value), 4) for value in share],
    }
    for remark in image.remarks:
        reading.remark(f"{file}: {remark}")
    if (pixels == pixels[0, 0]).all():
        reading.fault("empty image", f"{file}: all pixels have the same color; export it again.")
    reading.digest = digest(pixels)
    reading.signature = signature(pixels.mean(axis=2, dtype=np.float32))


def _describe_mask(reading: Reading, mask: StoredImage, image: StoredImage | None) -> None:
    file = reading.item.label
    for remark in mask.remarks:
        reading.remark(f"{file}: {remark}")
    if image is not None:
        _check_fit(reading, mask, image)
    values, counts = np.unique(mask.pixels, return_counts=True)
    reading.facts["voxels"] = int(mask.pixels.size)
    reading.facts["classes"] = {str(value): int(count) for value, count in zip(values, counts, strict=True) if value}
    if values.max() <= 0:
        reading.fault("empty label", f"{file}: holds no class but the background; label it, or leave it out.")
    elif 0 not in values:
        reading.remark(f"{file}: holds no background")


def _check_fit(reading: Reading, mask: StoredImage, image: StoredImage) -> None:
    """Note a mask that does not have the size of its image, or is turned by another EXIF orientation."""
    file, conflict = reading.item.label, orientation_conflict(image, mask)
    height, width = mask.pixels.shape
    if image.pixels.shape[:2] != mask.pixels.shape:
        size = f"{image.pixels.shape[1]} x {image.pixels.shape[0]}"
        cause, remedy = conflict or ("of another size", "name the mask of this image")
        reading.fault("grid mismatch", f"{file}: is {width} x {height} pixels, its image {size}, {cause}; {remedy}.")
    elif conflict is not None:
        reading.remark(f"{file}: {'; '.join(conflict)}")


def _check_classes(reading: Reading, classes: Any) -> None:
    known = isinstance(classes, Mapping) and classes and all(value in (0, 1) for value in classes.values())
    if known:
        reading.facts["labels"] = {str(name): int(value) for name, value in classes.items()}
    else:
        reading.fault("class values", f"{reading.item.images[0]}: has the classes {classes!r}; each must be 0 or 1.")
