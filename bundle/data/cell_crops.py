"""Datalist of crops around single objects, such as the cells of a field, cut from images with masks.

Networks for plasma cells were published for such crops (SegPC-2021; TMUnet, arXiv:2203.01932): the bounding
box of a nucleus, enlarged 2.5 times, resized to 224 x 224. Their fourth channel, the mask of the nucleus, is left out:
the object in the center is the one to segment.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bundle.io.images import color_values, read_gray_levels, read_image
from bundle.io.input_checks import GridMismatchError
from bundle.utils.atomic_write import atomic_write
from bundle.utils.components import find_components

from .case_names import name_images
from .datalist import load_datalist
from .datalist_file import Case, DatalistError, datalist_content

logger = logging.getLogger(__name__)

SMALLEST = 16
"""Objects of fewer pixels are rests of a mask."""


class Crop(NamedTuple):
    """A square of an image, with the object in its center.

    Attributes:
        image: colors ``(S, S, 3)``; black outside of the image.
        mask: gray levels ``(S, S)`` of the object; 0 in other objects.
    """

    image: np.ndarray
    mask: np.ndarray


def prepare_cell_crops(
    root: str | Path,
    *,
    datalist: str | Path | None = None,
    crops_dir: str | Path | None = None,
    scale: float = 1.5,
    size: int = 224,
) -> dict[str, Any]:
    """Write a crop and its mask for every object of every image, and list them with the folds of their images.

    An object is a connected region of the mask: cells that touch are one. The box is that of its brightest gray level,
    which is the nucleus in masks with parts, and the cell in others.

    Args:
        root: folder of the dataset.
        datalist: JSON file in MSD form; None for ``dataset.json`` in ``root``.
        crops_dir: folder for ``images`` and ``masks`` of the crops; None for ``crops`` in ``root``.
        scale: sides of the crop relative to the box of the object. The published protocol has 2.5 around nuclei.
        size: height and width of the crops in pixels; the shorter side is padded with zeros.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when a number is out of range, the datalist cannot be used, or no image has an object.
        FileError: when a file cannot be used.
    """
    if scale < 1 or size < 1:
        raise DatalistError(f"scale must be 1 or more and size be positive, got {scale} and {size}.")
    folder = Path(root, "crops") if crops_dir is None else Path(crops_dir)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lists = load_datalist(root, datalist)
    named = iter(name_images([case for cases in lists.values() for case in cases]))
    parts = {
        part: [
            crop for case in islice(named, len(cases)) for crop in _write_crops(case, folder, scale=scale, size=size)
        ]
        for part, cases in lists.items()
    }
    count = sum(map(len, parts.values()))
    if not count:
        raise DatalistError(f"{root}: no mask has an object of {SMALLEST} pixels or more.")
    logger.info("%s: %d crops of %d images", folder, count, sum(map(len, lists.values())))
    return datalist_content(root, parts, seed=0)


def crops_of(image: np.ndarray, mask: np.ndarray, *, scale: float, size: int) -> Iterator[Crop]:
    """Cut a crop around every object, in the order of their first pixels.

    Args:
        image: colors ``(H, W, 3)``.
        mask: gray levels ``(H, W)``, 0 in the background.
        scale: sides of the crop relative to the box of the brightest level of the object.
        size: height and width of the crops.
    """
    components = find_components((mask > 0).astype(np.uint8), corners=True)
    for number in np.flatnonzero(components.sizes >= SMALLEST):
        alone = np.where(components.mask(int(number)), mask, 0)
        places = np.argwhere(alone == alone.max())
        low, high = places.min(0), places.max(0) + 1
        center, half = (low + high) / 2, max(high - low) * scale / 2
        start = np.floor(center - half).astype(int)
        side = int(np.ceil(2 * half))
        yield Crop(
            _resized(_square(image, start, side), size, Image.Resampling.BILINEAR),
            _resized(_square(alone, start, side), size, Image.Resampling.NEAREST),
        )


def _write_crops(case: Case, folder: Path, *, scale: float, size: int) -> list[Case]:
    """Write the crops of an image; return their cases."""
    colors = color_values(read_image(case["image"]).pixels)
    image, mask = np.moveaxis(np.round(colors * 255), 0, -1).astype(np.uint8), read_gray_levels(case["label"])
    if image.shape[:2] != mask.shape:
        raise GridMismatchError(
            case["label"], f"has the size {mask.shape}, its image {image.shape[:2]}", "take the mask of this image"
        )
    kept = {key: value for key, value in case.items() if key not in ("image", "label", "case")}
    cases = []
    for number, crop in enumerate(crops_of(image, mask, scale=scale, size=size), start=1):
        name = f"{case['case']}_{number}.png"
        for kind, pixels in (("images", crop.image), ("masks", crop.mask)):
            with atomic_write(folder / kind / name) as file:
                Image.fromarray(pixels).save(file, "PNG")
        cases.append({"image": str(folder / "images" / name), "label": str(folder / "masks" / name), **kept})
    return cases


def _square(pixels: np.ndarray, start: np.ndarray, side: int) -> np.ndarray:
    """Return a square of an image, with zeros outside of it."""
    square = np.zeros((side, side, *pixels.shape[2:]), dtype=pixels.dtype)
    low, high = np.maximum(start, 0), np.minimum(start + side, pixels.shape[:2])
    rows, columns = (slice(*ends) for ends in zip(low, high, strict=True))
    to_rows, to_columns = (slice(*ends) for ends in zip(low - start, high - start, strict=True))
    square[to_rows, to_columns] = pixels[rows, columns]
    return square


def _resized(pixels: np.ndarray, size: int, resample: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size, size), resample))
