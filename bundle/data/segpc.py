"""Datalist of SegPC-2021, plasma cells of multiple myeloma (Gupta et al., doi:10.21227/7np1-2q42).

The challenge publishes one mask per cell, ``<image>_<number>.bmp``, with values from 40 on for the nucleus and from 20
to 39 for the cytoplasm. They are merged into one mask per image.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.io.images import read_gray_levels, upright_size
from bundle.io.input_checks import GridMismatchError
from bundle.utils.atomic_write import atomic_write
from bundle.utils.errors import FileError

from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import assign_folds
from .pairing import images_in

logger = logging.getLogger(__name__)

CYTOPLASM, NUCLEUS = 20, 40
"""Smallest value of each in the masks of the challenge."""

LEVELS = {"cell": (255, 255), "parts": (128, 255)}
"""Gray levels of cytoplasm and nucleus in the masks that are written."""


def prepare_segpc2021(
    root: str | Path, *, masks_dir: str | Path | None = None, target: str = "cell", folds: int = 5
) -> dict[str, Any]:
    """Write one mask per image and list the images: the training part assigned to folds, the validation part as test.

    The test part of the challenge has no masks. No image is copied. An image with a file that cannot be used is logged,
    and listed under ``"skipped"``.

    Args:
        root: folder that holds, at any depth, ``train/x``, ``train/y``, ``validation/x`` and ``validation/y``.
        masks_dir: folder for the masks; None for ``masks`` in ``root``.
        target: ``"cell"`` for 255 in the complete cell, ``"parts"`` for 128 in the cytoplasm and 255 in the nucleus.
        folds: number of folds.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when an option is unknown, or the folder holds no such images, or none that can be used.
    """
    if target not in LEVELS or folds < 2:
        raise DatalistError(f"target must be one of {', '.join(LEVELS)} and folds 2 or more, got {target!r}, {folds}.")
    written = Path(root, "masks") if masks_dir is None else Path(masks_dir)
    parts: dict[str, list[Case]] = {"training": [], "test": []}
    skipped: list[dict[str, str]] = []
    for images in sorted(path for path in Path(root).rglob("x") if (path.parent / "y").is_dir()):
        part = "training" if images.parent.name.lower().startswith("train") else "test"
        cases, failed = _merge_part(images, images.parent / "y", written / images.parent.name, target)
        parts[part] += cases
        skipped += failed
    if skipped and not parts["training"]:
        raise DatalistError(f"{root}: no training image can be used; the first failure: {skipped[0]['message']}")
    if not parts["training"]:
        raise DatalistError(f"{root}: holds no train/x and train/y with images and the masks of their cells.")
    content = datalist_content(root, {**parts, "training": assign_folds(parts["training"], folds, root=root)}, seed=0)
    return {**content, "skipped": skipped} if skipped else content


def _merge_part(images: Path, masks: Path, written: Path, target: str) -> tuple[list[Case], list[dict[str, str]]]:
    """Write the masks of a part; return its cases, and the failures."""
    cells: dict[str, list[Path]] = {}
    for mask in images_in(masks):
        cells.setdefault(mask.stem.rpartition("_")[0], []).append(mask)
    written.mkdir(parents=True, exist_ok=True)
    cases, failures = [], []
    for image in images_in(images):
        if image.stem not in cells:
            logger.warning("%s: skipped, since %s holds no mask of a cell in it", image, masks)
            continue
        try:
            merged = _merge(image, cells[image.stem], LEVELS[target])
        except FileError as error:
            logger.error("%s: skipped: %s", image, error)
            failures.append(
                {"case": image.stem, "file": str(image), "error": type(error).__name__, "message": str(error)}
            )
            continue
        with atomic_write(written / f"{image.stem}.png") as file:
            Image.fromarray(merged).save(file, "PNG")
        cases.append({"image": str(image), "label": str(written / f"{image.stem}.png")})
    return cases, failures


def _merge(image: Path, cells: Sequence[Path], levels: tuple[int, int]) -> np.ndarray:
    """Return the gray mask of all cells of an image; where cells overlap, a nucleus covers a cytoplasm."""
    merged = np.zeros(upright_size(image), dtype=np.uint8)
    for cell in cells:
        values = read_gray_levels(cell)
        if values.shape != merged.shape:
            raise GridMismatchError(
                cell, f"has the size {values.shape}, its image {image} {merged.shape}", "take the mask of this image"
            )
        for smallest, level in zip((CYTOPLASM, NUCLEUS), levels, strict=True):
            merged[values >= smallest] = np.maximum(merged[values >= smallest], level)
    return merged
