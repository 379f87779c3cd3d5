"""What the datalists of pictures share: finding of pictures and masks, and splits by size."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .datalist import Case
from .datalist_error import DatalistError

logger = logging.getLogger(__name__)

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Endings of the files in a folder that count as pictures."""

NO_PICTURES = ("_superpixels",)
"""How the names of files end that lie among pictures and are none: ISIC's superpixels."""

MASK_MARKS = ("", "_segmentation", "_lesion", "_mask", "_label", "_seg")
"""What the name of a mask may have behind that of its picture."""

VALIDATION, TRAINING = 0, 1
"""Folds of a datalist with one validation set."""


def images_in(folder: Path) -> list[Path]:
    """List the pictures of a folder but hidden files and ISIC's superpixels, by name."""
    return sorted(
        file
        for file in folder.glob("*")
        if file.suffix.lower() in ENDINGS
        and not file.name.startswith(".")
        and not file.stem.endswith(NO_PICTURES)
        and not file.is_dir()
    )


def pair_images(images: Path, masks: Path) -> list[Case]:
    """Pair the pictures of a folder with the masks of another, whose names may have one of :data:`MASK_MARKS` more.

    Raises:
        DatalistError: when a picture has no mask or several, or two pictures have one name.
    """
    found: dict[str, list[Path]] = {}
    for mask in images_in(masks):
        found.setdefault(mask.stem.lower(), []).append(mask)
    cases, names, missing = [], set(), []
    for image in images_in(images):
        fitting = [mask for mark in MASK_MARKS for mask in found.get(f"{image.stem}{mark}".lower(), [])]
        if len(fitting) > 1:
            raise DatalistError(f"{image}: has several masks: {', '.join(map(str, fitting))}; remove all but one.")
        if image.stem in names:
            raise DatalistError(f"{image}: another picture in this folder has the same name; remove one of them.")
        names.add(image.stem)
        if fitting:
            cases.append({"image": str(image), "label": str(fitting[0])})
        else:
            missing.append(image.name)
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DatalistError(f"{masks}: no mask for {len(missing)} pictures: {shown}; remove them or add their masks.")
    return cases


def split_by_sizes(cases: Sequence[Case], sizes: Sequence[int], seed: int) -> dict[str, list[Case]]:
    """Split cases, sorted by the names of their pictures, into training, validation and test by a seeded shuffle.

    Where there are not as many cases as the sizes add up to, the parts keep their shares, which is logged.

    Args:
        cases: cases with ``"image"``.
        sizes: number of cases to train with, to validate with and to test with.
        seed: seed of the shuffle.

    Raises:
        DatalistError: when there are too few cases for one in each part.
    """
    order = sorted(cases, key=lambda case: Path(case["image"]).name)
    random.Random(seed).shuffle(order)
    total = sum(sizes)
    validation, test = (round(len(order) * size / total) for size in sizes[1:])
    if min(validation, test, len(order) - validation - test) < 1:
        raise DatalistError(f"{len(order)} pictures are too few for shares of {', '.join(map(str, sizes))}.")
    if len(order) != total:
        logger.warning("there are %d pictures, not %d; the parts of the split keep their shares", len(order), total)
    return {
        "validation": order[:validation],
        "test": order[validation : validation + test],
        "training": order[validation + test :],
    }


def datalist_of(root: str | Path, parts: Mapping[str, Iterable[Case]], seed: int) -> dict[str, Any]:
    """Return the content of a datalist in MSD form, with paths relative to ``root``, sorted by them.

    Args:
        root: folder of the dataset.
        parts: cases by ``"training"``, ``"validation"`` and ``"test"``. Where there are cases to validate with, they
            become fold 0 and the others fold 1.
        seed: seed that the split was made with.
    """
    held = [{**case, "fold": VALIDATION} for case in parts.get("validation", [])]
    training = [{**case, "fold": TRAINING} if held else dict(case) for case in parts["training"]]
    sections = {"training": held + training, "test": list(parts.get("test", []))}
    return {"seed": seed, **{name: _relative(root, cases) for name, cases in sections.items()}}


def _relative(root: str | Path, cases: Iterable[Case]) -> list[Case]:
    listed = [
        {
            key: Path(os.path.relpath(value, root)).as_posix() if key in ("image", "label") else value
            for key, value in case.items()
        }
        for case in cases
    ]
    return sorted(listed, key=lambda case: str(case["image"]))
