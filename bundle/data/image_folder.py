"""Datalist of a folder of 2D images with masks, or of several such folders in one."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.utils.path_options import check_path_options

from .case_names import name_images
from .case_review import CaseReview
from .datalist import Split, choose_split, parse_fold, select_cases
from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import with_balanced_folds
from .pairing import images_in, pair_images
from .patient_tables import tables_in, with_patients_of_tables
from .patients import patients_of
from .split_table import split_by_table

logger = logging.getLogger(__name__)

MAX_FOLDS = 5
"""Folds of a folder without a datalist, where it has as many images."""

FOLDERS = (("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr"))
"""Names of the folders with images and masks, next to each other."""


def prepare_image_folder(
    root: str | Path,
    *,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
    block: int = 1,
    splits: str | None = None,
) -> dict[str, Any]:
    """Pair images and masks, in ``root`` or any folder below, and assign them to a test set and folds.

    Images of the same name in several folders, such as copies at two sizes, stay together, and so do those of one
    patient or lesion, as far as a table in ``root`` names it.

    Args:
        root: folder with ``images`` and ``masks`` (or ``labels``, or ``imagesTr`` and ``labelsTr``), or that holds
            such folders.
        test_share: share of the images that is held out as ``test``, in [0, 1).
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.
        block: number of images with consecutive names that stay together, e.g. since they are of one slide.
        splits: CSV file, in ``root``, that names the part of every image, see
            :func:`bundle.data.split_table.split_by_table`; None to draw the parts.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when there are no images with masks, an image has none, or a number is out of range.
    """
    folder = Path(root)
    if not 0 <= test_share < 1 or folds < 2 or block < 1:
        raise DatalistError(
            f"test_share must lie in [0, 1), folds be 2 or more, block 1 or more, got {test_share}, {folds}, {block}."
        )
    if splits is not None:
        return datalist_content(folder, split_by_table(pair_below(folder), folder / splits), seed=seed)
    units = _shuffled_units(folder, block, seed)
    count = sum(map(len, units))
    test: list[Case] = []
    while units and len(test) + len(units[0]) / 2 <= count * test_share:
        test += units.pop(0)
    if len(units) < folds:
        raise DatalistError(
            f"{root}: {len(units)} images, patients or blocks are left for {folds} folds; pass --folds."
        )
    logger.info("%s: %d images, %d of them for the test", root, count, len(test))
    return datalist_content(folder, {"training": with_balanced_folds(units, folds), "test": test}, seed=seed)


def select_images(
    dataset_dir: str | Path,
    split: Split,
    datalist: str | Path | None = None,
    fold: int | str | None = 0,
    *,
    review: CaseReview | None = None,
) -> list[Case]:
    """Return the 2D images with masks of one split of a dataset, as :func:`bundle.data.select_cases` does of volumes.

    Args:
        dataset_dir: folder of the dataset. Without ``datalist``, its ``dataset.json`` is read; without that, images
            and masks are paired as by :func:`prepare_image_folder`, with up to five folds and no test set.
        split: ``"training"`` (all folds except ``fold``), ``"validation"`` (``fold``), ``"test"`` or ``"all"``.
        datalist: JSON file in MSD form.
        fold: the fold that is held out for validation; "all" or None to train with all images.
        review: leaves out images by their ratings; None for none.

    Raises:
        DatalistError: when the folder or file cannot be used, or the split is unknown or empty.
    """
    check_path_options(dataset_dir=dataset_dir, datalist=datalist)
    root = Path(dataset_dir)
    if datalist or not root.is_dir() or (root / "dataset.json").is_file():
        return name_images(select_cases(dataset_dir, split, datalist, fold, review=review))
    units = _shuffled_units(root, 1, 0)
    cases = with_balanced_folds(units, min(MAX_FOLDS, len(units)))
    if split == "test":
        raise DatalistError(
            f"{root}: has no dataset.json, so that there are the splits training, validation and all, but not "
            f"{split!r}; pass --datalist FILE."
        )
    lists = {"training": sorted(cases, key=lambda case: str(case["image"])), "test": []}
    return name_images(choose_split(lists, split, parse_fold(fold), root, review=review))


def pair_below(root: Path) -> list[Case]:
    """Return the images with masks in a folder and in all folders below, sorted by path.

    Raises:
        DatalistError: when there are none, or an image has no mask.
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
        raise DatalistError(f"{root}: holds no images with masks in {known}; name the folder that does.")
    return cases


def _shuffled_units(root: Path, block: int, seed: int) -> list[list[Case]]:
    """Return what stays together, in a random order: patients, and blocks of the images of no known patient."""
    cases = with_patients_of_tables(pair_below(root), tables_in(root))
    patients = patients_of(cases, root)
    of_patient: dict[str, list[Case]] = {}
    for case, patient in zip(cases, patients, strict=True):
        if patient is not None:
            of_patient.setdefault(patient, []).append(case)
    alone = [case for case, patient in zip(cases, patients, strict=True) if patient is None]
    units = [*_blocks(alone, block), *of_patient.values()]
    random.Random(seed).shuffle(units)
    return units


def _blocks(cases: Sequence[Case], block: int) -> list[list[Case]]:
    """Return what stays together: blocks of consecutive names, with all images of these names."""
    by_name: dict[str, list[Case]] = {}
    for case in cases:
        by_name.setdefault(Path(case["image"]).stem, []).append(case)
    names = sorted(by_name, key=lambda name: (name.rstrip("0123456789"), len(name), name))
    return [
        [case for name in names[start : start + block] for case in by_name[name]]
        for start in range(0, len(names), block)
    ]
