"""Datalist of HVSMR 2016, hearts in MRI (Pace et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_10).

Layouts: as published, ``training_axial_crop_pat0.nii.gz`` and ``training_axial_crop_pat0-label.nii.gz`` in folders of
any names; of the original project, ``{train,test}/{images,masks}``.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from bundle.io.volume_files import stem_of, volumes_in

from .datalist_file import Case, DatalistError, datalist_content
from .fold_assignment import split_cases
from .pairing import skip_unlabeled
from .volume_lists import folder_of, original_parts, with_patients

logger = logging.getLogger(__name__)

LABELS = {"0": "background", "1": "myocardium", "2": "blood_pool"}

VOLUME = r"(training|testing)_(axial_crop|axial_full|sa_crop)_pat\d+(-label)?$"
"""Names of the volumes and label maps of the dataset."""

VIEWS = ("axial_crop", "axial_full", "sa_crop")
"""The volumes that there are of every patient: cropped and full in axial slices, cropped in the short axis."""


def prepare_hvsmr(
    root: str | Path, *, view: str = "axial_crop", test_share: float = 0.2, folds: int = 5, seed: int = 0
) -> dict[str, Any]:
    """List HVSMR 2016. The test part of the challenge has no labels; it is listed as test cases to segment.

    Args:
        root: folder of the dataset, in either layout.
        view: one of :data:`VIEWS`; without effect in the layout of the original project.
        test_share: share of the labeled cases that is held out as test, from 0 to 1; without effect where there are
            ``train`` and ``test``.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when the folder holds no labeled case, or an option is out of range.
    """
    if view not in VIEWS:
        raise DatalistError(f"view must be one of {', '.join(VIEWS)}, got {view!r}.")
    folder = folder_of(root, "the volumes of HVSMR, or train and test")
    original = original_parts(folder)
    parts = _published_parts(folder, view) if original is None else original
    known = with_patients(skip_unlabeled(parts["training"]), _patient)
    if not known:
        raise DatalistError(
            f"{root}: holds no training_{view}_pat*.nii.gz with training_{view}_pat*-label.nii.gz, and no train/images "
            "with train/masks."
        )
    test = with_patients(parts["test"], _patient)
    share = 0.0 if any("label" in case for case in test) else test_share
    split = split_cases(root, known, test_share=share, folds=folds, seed=seed)
    split["test"] += test
    return datalist_content(root, split, seed=seed, modality=["MRI"], labels=LABELS)


def _published_parts(root: Path, view: str) -> dict[str, list[Case]]:
    found: dict[str, Path] = {}
    for folder in [root, *sorted(path for path in root.rglob("*") if path.is_dir())]:
        for file in volumes_in(folder):
            name = stem_of(file)
            if name in found and view in name:
                raise DatalistError(f"{found[name]} and {file} are the same volume; remove one of them.")
            found[name] = file
    parts: dict[str, list[Case]] = {"training": [], "test": []}
    for name, file in found.items():
        kind = re.fullmatch(rf"(training|testing)_{view}_pat\d+", name)
        if kind:
            label = found.get(f"{name}-label")
            section = "training" if kind[1] == "training" else "test"
            parts[section].append({"image": str(file), **({} if label is None else {"label": str(label)})})
        elif not re.search(VOLUME, name):
            logger.warning("%s: skipped, since its name is not that of a volume of HVSMR", file)
    return parts


def _patient(name: str) -> str:
    found = re.search(r"pat\d+", name)
    return found[0] if found else name
