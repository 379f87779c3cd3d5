"""Datalist of MALC, brains of the MICCAI 2012 challenge on multi-atlas labeling (Landman and Warfield, 2012).

35 T1 scans of OASIS, labeled by Neuromorphometrics. Layouts: as published, ``training-images``, ``training-labels``,
``testing-images`` and ``testing-labels`` with ``1000_3.nii.gz`` and ``1000_3_glm.nii.gz``; of the original project,
``{train,test}/{images,masks}`` with the classes 0 to 10 in the masks. Which ten structures these are was never
published; :data:`TABLES` has ten of the field.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import split_cases
from .pairing import pair_volumes, skip_unlabeled
from .volume_lists import folder_of, original_parts, read_table, with_patients

logger = logging.getLogger(__name__)

TABLES: dict[str, dict[str, Any]] = {
    "neuromorphometrics": {
        "background": "others",
        "cerebral_white_matter": [44, 45],
        "cerebral_cortex": ["100-207"],
        "lateral_ventricles": ["49-52"],
        "cerebellar_white_matter": [40, 41],
        "cerebellar_cortex": [38, 39],
        "thalamus": [59, 60],
        "caudate": [36, 37],
        "putamen": [57, 58],
        "pallidum": [55, 56],
        "hippocampus": [47, 48],
    },
    "freesurfer": {
        "background": "others",
        "cerebral_white_matter": [2, 41],
        "cerebral_cortex": [3, 42, "1000-2999"],
        "lateral_ventricles": [4, 5, 43, 44],
        "cerebellar_white_matter": [7, 46],
        "cerebellar_cortex": [8, 47],
        "thalamus": [9, 10, 48, 49],
        "caudate": [11, 50],
        "putamen": [12, 51],
        "pallidum": [13, 52],
        "hippocampus": [17, 53],
    },
}
"""Ten structures, left and right together, in the numbering of the challenge and in that of FreeSurfer."""

CLASSES = 10
"""Structures in the masks of the original project."""

REPEATS = ("1023", "1024", "1025", "1038", "1039")
"""Second scans of persons who are in the dataset under another number."""


def prepare_malc(
    root: str | Path,
    *,
    labels: str | Path | None = None,
    repeats: bool = False,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """List MALC: the training part assigned to folds, the testing part as test.

    Args:
        root: folder of the dataset, in either layout.
        labels: one of :data:`TABLES` or a file, see :func:`bundle.io.label_tables.read_label_table`; None for
            ``"neuromorphometrics"`` or, in the layout of the original project, for its ten unnamed structures.
        repeats: whether to list the second scans of persons, too.
        test_share: share of the cases that is held out where there is no testing part, from 0 to 1.
        folds: number of folds.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when the folder holds no labeled case, the table cannot be used, or a number is out of range.
    """
    folder = folder_of(root, "training-images and training-labels, or train and test")
    original = original_parts(folder)
    parts = _published_parts(folder) if original is None else original
    known = {section: with_patients(skip_unlabeled(cases), _person) for section, cases in parts.items()}
    if not repeats:
        known = {section: [case for case in cases if not _is_repeat(case)] for section, cases in known.items()}
    if not known["training"]:
        raise DatalistError(
            f"{root}: holds no training-images with training-labels, and no train/images with train/masks."
        )
    share = 0.0 if known["test"] else test_share
    split = split_cases(root, known["training"], test_share=share, folds=folds, seed=seed)
    split["test"] += known["test"]
    if original is not None and labels is None:
        named = {"0": "background", **{str(value): f"structure_{value}" for value in range(1, CLASSES + 1)}}
        return datalist_content(root, split, seed=seed, modality=["T1"], labels=named)
    name = "neuromorphometrics" if labels is None else str(labels)
    table = TABLES[name] if name in TABLES else read_table(name)
    return datalist_content(root, split, seed=seed, modality=["T1"], table=table)


def _published_parts(root: Path) -> dict[str, list[Case]]:
    parts: dict[str, list[Case]] = {}
    for part, section in (("training", "training"), ("testing", "test")):
        folders = sorted(path for path in [root, *root.rglob("*")] if (path / f"{part}-images").is_dir())
        parts[section] = [
            case for path in folders for case in pair_volumes(path / f"{part}-images", path / f"{part}-labels")
        ]
    return parts


def _person(name: str) -> str:
    """Return the number of a person in front of that of the scan, or the name where it has another form."""
    found = re.match(r"(\d{4})_\d", name)
    return found[1] if found else name


def _is_repeat(case: Case) -> bool:
    if case["patient"] not in REPEATS:
        return False
    logger.warning("%s: skipped, since it is a second scan of a person; list it with --repeats", case["image"])
    return True
