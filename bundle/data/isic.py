"""Datalists of the ISIC challenges of 2017 and 2018 as published.

ISIC 2017: Codella et al., arXiv:1710.05006; 2018: arXiv:1902.03368. Superpixels and the tables of metadata, which are
stored among the images, are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from .classified_images import classified_cases
from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import split_by_sizes
from .pairing import images_in, pair_images

logger = logging.getLogger(__name__)

IsicSplit = Literal["official", "paper"]
IsicTask = Literal["segmentation", "classification"]
SPLITS: tuple[IsicSplit, ...] = get_args(IsicSplit)
TASKS: tuple[IsicTask, ...] = get_args(IsicTask)
ISIC2017_CLASSES = ("melanoma", "seborrheic_keratosis")

_ISIC2017 = {"training": "Training", "validation": "Validation", "test": "Test_v2"}
_ISIC2018 = {"training": "Training", "validation": "Validation", "test": "Test"}


def prepare_isic2017(
    root: str | Path, *, task: IsicTask = "segmentation", split: IsicSplit = "official", seed: int = 0
) -> dict[str, Any]:
    """List ISIC 2017, for segmentation (Part 1) or classification (Part 3).

    Args:
        root: folder with ``ISIC-2017_Training_Data`` and ``ISIC-2017_Training_Part1_GroundTruth`` (or
            ``ISIC-2017_Training_Part3_GroundTruth.csv``) and, for the official split, those of ``Validation`` and
            ``Test_v2``; each may lie in folders of any depth.
        task: ``"segmentation"``, or ``"classification"``, whose cases have ``"classes"``.
        split: ``"official"`` (2000, 150 and 600 images), or ``"paper"``: 1250, 150 and 600 of the 2000 training
            images, as published networks were evaluated; which ones these were was never published.
        seed: seed of the shuffle of ``"paper"``.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``; fold 0 is for validation.

    Raises:
        DatalistError: when a folder is missing, an image has no mask or class, or an option is unknown.
    """
    _check(root, {"task": (task, TASKS), "split": (split, SPLITS)})

    def cases(part: str) -> list[Case] | None:
        images = _find(root, f"ISIC-2017_{part}_Data")
        if task == "classification":
            table = _find(root, f"ISIC-2017_{part}_Part3_GroundTruth.csv")
            return classified_cases(images, table, ISIC2017_CLASSES) if images and table else None
        masks = _find(root, f"ISIC-2017_{part}_Part1_GroundTruth")
        return pair_images(images, masks) if images and masks else None

    return _datalist(
        root, {name: cases(part) for name, part in _parts(_ISIC2017, split)}, (1250, 150, 600), split, seed
    )


def prepare_isic2018(root: str | Path, *, split: IsicSplit = "official", seed: int = 0) -> dict[str, Any]:
    """List ISIC 2018 Task 1, segmentation.

    Args:
        root: folder with ``ISIC2018_Task1-2_Training_Input`` and ``ISIC2018_Task1_Training_GroundTruth`` and, for the
            official split, those of ``Validation`` and ``Test``; each may lie in folders of any depth.
        split: ``"official"`` (2594, 100 and 1000 images), or ``"paper"``: 1815, 259 and 520 of the 2594 training
            images, as published networks were evaluated; which ones these were was never published.
        seed: seed of the shuffle of ``"paper"``.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``; fold 0 is for validation.

    Raises:
        DatalistError: when a folder is missing, an image has no mask, or an option is unknown.
    """
    _check(root, {"split": (split, SPLITS)})

    def cases(part: str) -> list[Case] | None:
        images = _find(root, f"ISIC2018_Task1-2_{part}_Input")
        masks = _find(root, f"ISIC2018_Task1_{part}_GroundTruth")
        return pair_images(images, masks) if images and masks else None

    return _datalist(
        root, {name: cases(part) for name, part in _parts(_ISIC2018, split)}, (1815, 259, 520), split, seed
    )


def _check(root: str | Path, options: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
    for name, (value, known) in options.items():
        if value not in known:
            raise DatalistError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
    if not Path(root).is_dir():
        raise DatalistError(f"{root}: is not a folder; name the one that holds the unpacked archives of the challenge.")


def _parts(names: Mapping[str, str], split: str) -> list[tuple[str, str]]:
    """Return the parts of the challenge that a split is made of."""
    return list(names.items())[: 1 if split == "paper" else None]


def _find(root: str | Path, name: str) -> Path | None:
    """Return the file, or the folder with images directly in it, of a name, at whatever depth."""
    found = sorted(path for path in Path(root).rglob(name) if path.is_file() or images_in(path))
    return found[0] if found else None


def _datalist(
    root: str | Path, found: Mapping[str, list[Case] | None], sizes: tuple[int, int, int], split: str, seed: int
) -> dict[str, Any]:
    cases = found["training"]
    if not cases:
        raise DatalistError(f"{root}: holds no training images with their ground truth; unpack both archives into it.")
    if split == "paper":
        return datalist_content(root, split_by_sizes(cases, sizes, seed), seed=seed)
    for name, part in found.items():
        if part is None:
            logger.warning("%s: the %s part of the challenge, or its ground truth, is missing", root, name)
    return datalist_content(root, {name: part or [] for name, part in found.items()}, seed=seed)
