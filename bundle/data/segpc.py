"""Datalist of SegPC-2021, plasma cells of multiple myeloma (Gupta et al., doi:10.21227/7np1-2q42).

The challenge hands out one mask a cell, ``<picture>_<number>.bmp``, with values from 40 on for the nucleus and from 20
to 39 for the cytoplasm. They are put together to one mask a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.utils.atomic_write import atomic_write

from .datalist import Case, _deal
from .datalist_error import DatalistError
from .image_lists import datalist_of, images_in

logger = logging.getLogger(__name__)

CYTOPLASM, NUCLEUS = 20, 40
"""Smallest value of each in the masks of the challenge."""

LEVELS = {"cell": (255, 255), "parts": (128, 255)}
"""Grey levels of cytoplasm and nucleus in the masks that are written."""


def prepare_segpc2021(
    root: str | Path, *, masks_dir: str | Path | None = None, target: str = "cell", folds: int = 5
) -> dict[str, Any]:
    """Write one mask a picture and list the pictures: the training part dealt to folds, the validation part as test.

    The test part of the challenge has no masks. No picture is copied.

    Args:
        root: folder that holds, at any depth, ``train/x``, ``train/y``, ``validation/x`` and ``validation/y``.
        masks_dir: folder for the masks; None for ``masks`` in ``root``.
        target: ``"cell"`` for 255 in the whole cell, ``"parts"`` for 128 in the cytoplasm and 255 in the nucleus.
        folds: number of folds.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when an option is unknown, the folder holds no such pictures, or a mask cannot be read or has
            another size than its picture.
    """
    if target not in LEVELS or folds < 2:
        raise DatalistError(f"target must be one of {', '.join(LEVELS)} and folds 2 or more, got {target!r}, {folds}.")
    written = Path(root, "masks") if masks_dir is None else Path(masks_dir)
    parts: dict[str, list[Case]] = {"training": [], "test": []}
    for images in sorted(path for path in Path(root).rglob("x") if (path.parent / "y").is_dir()):
        part = "training" if images.parent.name.lower().startswith("train") else "test"
        parts[part] += _part(images, images.parent / "y", written / images.parent.name, target)
    if not parts["training"]:
        raise DatalistError(f"{root}: holds no train/x and train/y with pictures and the masks of their cells.")
    return datalist_of(root, {**parts, "training": _deal(parts["training"], folds)}, 0)


def _part(images: Path, masks: Path, written: Path, target: str) -> list[Case]:
    cells: dict[str, list[Path]] = {}
    for mask in images_in(masks):
        cells.setdefault(mask.stem.rpartition("_")[0], []).append(mask)
    written.mkdir(parents=True, exist_ok=True)
    cases = []
    for image in images_in(images):
        if image.stem not in cells:
            logger.warning("%s: left out, since %s holds no mask of a cell in it", image, masks)
            continue
        merged = _merged(image, cells[image.stem], LEVELS[target])
        with atomic_write(written / f"{image.stem}.png") as file:
            Image.fromarray(merged).save(file, "PNG")
        cases.append({"image": str(image), "label": str(written / f"{image.stem}.png")})
    return cases


def _merged(image: Path, cells: Sequence[Path], levels: tuple[int, int]) -> np.ndarray:
    """Return the grey mask of all cells of a picture; where cells overlap, a nucleus covers a cytoplasm."""
    with Image.open(image) as picture:
        merged = np.zeros((picture.height, picture.width), dtype=np.uint8)
    for cell in cells:
        try:
            with Image.open(cell) as mask:
                values = np.asarray(mask.convert("L"))
        except OSError as error:
            raise DatalistError(f"{cell}: cannot be read ({error}); copy it again.") from error
        if values.shape != merged.shape:
            raise DatalistError(f"{cell}: has the size {values.shape}, its picture {image} {merged.shape}.")
        for smallest, level in zip((CYTOPLASM, NUCLEUS), levels, strict=True):
            merged[values >= smallest] = np.maximum(merged[values >= smallest], level)
    return merged
