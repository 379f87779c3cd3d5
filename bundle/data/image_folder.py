"""Datalist of a folder of pictures with masks, or of several such folders in one."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .datalist import Case
from .datalist_error import DatalistError
from .image_lists import datalist_of, images_in, pair_images

logger = logging.getLogger(__name__)

FOLDERS = (("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr"))
"""Names of the folders with pictures and masks, beside each other."""


def prepare_image_folder(
    root: str | Path, *, test_share: float = 0.2, folds: int = 5, seed: int = 0, block: int = 1
) -> dict[str, Any]:
    """Pair pictures and masks, in ``root`` or any folder below, and deal them to a test set and folds.

    Pictures of the same name in several folders, such as copies at two sizes, are never parted.

    Args:
        root: folder with ``images`` and ``masks`` (or ``labels``, or ``imagesTr`` and ``labelsTr``), or that holds
            such folders.
        test_share: share of the pictures that is held out as ``test``, in [0, 1).
        folds: number of folds that the others are dealt to.
        seed: seed of the shuffle.
        block: number of pictures with consecutive names that are never parted, e.g. since they are of one slide.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when there are no pictures with masks, a picture has none, or a number is out of range.
    """
    folder = Path(root)
    if not 0 <= test_share < 1 or folds < 2 or block < 1:
        raise DatalistError(
            f"test_share must lie in [0, 1), folds be 2 or more, block 1 or more, got {test_share}, {folds}, {block}."
        )
    cases = paired_below(folder)
    units = _units(cases, block)
    random.Random(seed).shuffle(units)
    test: list[Case] = []
    while units and len(test) + len(units[0]) / 2 <= len(cases) * test_share:
        test += units.pop(0)
    if len(units) < folds:
        raise DatalistError(f"{root}: {len(units)} pictures or blocks are left for {folds} folds; ask for fewer.")
    sizes, training = [0] * folds, []
    for unit in units:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(unit)
        training += [{**case, "fold": fold} for case in unit]
    logger.info("%s: %d pictures, %d of them for the test", root, len(cases), len(test))
    return datalist_of(folder, {"training": training, "test": test}, seed)


def paired_below(root: Path) -> list[Case]:
    """Return the pictures with masks in a folder and in all folders below, sorted by path.

    Raises:
        DatalistError: when there are none, or a picture has no mask.
    """
    if not root.is_dir():
        raise DatalistError(f"{root}: is not a folder; name the one that holds images and masks.")
    cases: list[Case] = []
    for parent in [root, *sorted(folder for folder in root.rglob("*") if folder.is_dir())]:
        for images, masks in FOLDERS:
            if (parent / masks).is_dir() and images_in(parent / images):
                cases += pair_images(parent / images, parent / masks)
                break
    if not cases:
        known = " or ".join("/".join(pair) for pair in FOLDERS)
        raise DatalistError(f"{root}: holds no pictures with masks in {known}; name the folder that does.")
    return cases


def _units(cases: Sequence[Case], block: int) -> list[list[Case]]:
    """Return what must not be parted: blocks of consecutive names, with all pictures of these names."""
    by_name: dict[str, list[Case]] = {}
    for case in cases:
        by_name.setdefault(Path(case["image"]).stem, []).append(case)
    names = sorted(by_name, key=lambda name: (name.rstrip("0123456789"), len(name), name))
    return [
        [case for name in names[start : start + block] for case in by_name[name]]
        for start in range(0, len(names), block)
    ]
