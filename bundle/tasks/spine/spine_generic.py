"""Datalist of the Spine Generic multi-subject dataset, in BIDS layout, with its labels of disc tips.

Images lie in ``sub-XXX/[ses-YY/]anat``, labels in the same folders of ``derivatives/labels``, under a name from before
or since 2024 (https://github.com/spine-generic/data-multi-subject, pull requests 159 and 170). A label may have another
grid than its image, as points are read by the affine of the label; they must lie in the image.
"""

from __future__ import annotations

import logging
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, get_args

import nibabel as nib

from bundle.data.datalist_file import Case, DatalistError
from bundle.data.fold_assignment import balance_folds, hold_out
from bundle.inference.case_record import CaseRecord
from bundle.io.input_checks import check_header
from bundle.io.length_units import nifti_affine
from bundle.io.volume_files import stem_of

from .disc_placement import SPACING_RANGE, check_discs_in_image
from .discs.disc_errors import DiscFileError
from .discs.disc_label_map import read_label_map

logger = logging.getLogger(__name__)

LABELS = (
    "{scan}_label-discs_dlabel.nii.gz",
    "{scan}_space-*_label-discs_dlabel.nii.gz",
    "{scan}_labels-disc-manual.nii.gz",
)
"""Names of the labels of a scan; the first existing one is used."""

BODY_LABELS = "{scan}_RPI_r_labels-manual*"
"""Labels of vertebral bodies, which are easily confused with those of discs (issue 147 of the dataset)."""

SplitBy = Literal["subject", "site"]

SPLITS_BY = get_args(SplitBy)

TEST_FOLD = -1
"""Fold number of the test set."""


def prepare_spine_generic(
    root: str | Path,
    *,
    contrasts: Sequence[str] = ("T1w", "T2w"),
    derivative: str = "labels",
    split_by: SplitBy = "subject",
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """List the scans that have disc labels, with a test set and folds; all scans of a subject are in the same.

    Scans without a label are logged. Labels and the headers of images are read; a scan with one that cannot be used is
    logged, and listed under ``"skipped"``. As the labels may lack discs that are in view, no case is ``complete``.

    Args:
        root: folder of the dataset, with ``sub-*`` and ``derivatives/labels``, or of any dataset of this form, such as
            one with results of this bundle (:mod:`bundle.inference.bids_derivative`).
        contrasts: contrasts to list; they become the ``group`` of a case.
        derivative: folder in ``derivatives`` that holds the labels.
        split_by: ``"subject"``, or ``"site"`` (the subject's name without its number) to keep sites together as well.
        test_share: fraction of the subjects in the test set, in [0, 1).
        folds: number of folds of the other subjects.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when the folder holds no labeled scan, a number is out of range, or there are too few subjects
            or sites for the folds.
    """
    folder = Path(root)
    if split_by not in SPLITS_BY or not 0 <= test_share < 1 or folds < 2:
        raise DatalistError(
            f"split_by must be one of {', '.join(SPLITS_BY)}, test_share lie in [0, 1) and folds be 2 or more, got "
            f"{split_by!r}, {test_share} and {folds}."
        )
    if not folder.is_dir():
        raise DatalistError(f"{root}: is not a folder; pass the one that holds sub-*/anat and derivatives/labels.")
    cases, skipped = _check_cases(_labeled(folder, folder / "derivatives" / derivative, contrasts), folder)
    if skipped and not cases:
        raise DatalistError(f"{root}: no scan can be used; the first: {skipped[0].message}")
    if not cases:
        raise DatalistError(
            f"{root}: holds no scan {' or '.join(contrasts)} with disc labels; pass the folder that holds sub-*/anat "
            f"and derivatives/{derivative}, and fetch its files (git annex get)."
        )
    fold_of = _assign_folds(
        {name: _site(name) if split_by == "site" else name for name in cases}, test_share, folds, seed
    )
    if set(range(folds)) - set(fold_of.values()):
        raise DatalistError(f"{root}: too few {split_by}s for {folds} folds; use fewer.")
    listed = [{**case, "fold": fold_of[name]} for name in cases for case in cases[name]]
    test = [{key: case[key] for key in case if key != "fold"} for case in listed if case["fold"] == TEST_FOLD]
    training = [case for case in listed if case["fold"] != TEST_FOLD]
    logger.info("%s: %d subjects, %d scans, %d of them for the test", root, len(cases), len(listed), len(test))
    failed = {"skipped": [record.to_json() for record in skipped]} if skipped else {}
    return {"seed": seed, **failed, "training": training, "test": test}


def _labeled(root: Path, derivative: Path, contrasts: Sequence[str]) -> dict[str, list[Case]]:
    """Return the labeled cases of every subject that has any."""
    subjects = sorted(folder for folder in root.glob("sub-*") if folder.is_dir())
    found: dict[str, list[Case | None]] = {}
    for subject in subjects:
        sessions = sorted(folder for folder in subject.glob("ses-*") if folder.is_dir()) or [subject]
        scans = [(session / "anat", contrast) for session in sessions for contrast in contrasts]
        found[subject.name] = [_case(root, derivative, subject.name, *scan) for scan in scans]
    labeled = {name: [case for case in cases if case is not None] for name, cases in found.items()}
    return {name: cases for name, cases in labeled.items() if cases}


def _case(root: Path, derivative: Path, subject: str, folder: Path, contrast: str) -> Case | None:
    place = folder.relative_to(root)
    scan = "_".join([*place.parts[:-1], contrast])
    image = folder / f"{scan}.nii.gz"
    labels = sorted((derivative / place).glob("*"))
    found = [file for name in LABELS for file in labels if fnmatch(file.name, name.format(scan=scan))]
    missing = [file for file in (image, *found[:1]) if not file.exists()]
    if missing:
        reason = "is a broken link; fetch it (git annex get)" if missing[0].is_symlink() else "does not exist"
        logger.warning("%s: skipped, since %s %s.", scan, missing[0], reason)
        return None
    if not found:
        has_body_labels = any(fnmatch(file.name, BODY_LABELS.format(scan=scan)) for file in labels)
        logger.warning(
            "%s: skipped, since it has no disc labels%s.",
            scan,
            ", only those of vertebral bodies" if has_body_labels else "",
        )
        return None
    paths = {key: file.relative_to(root).as_posix() for key, file in (("image", image), ("label", found[0]))}
    return {**paths, "patient": subject, "subset": contrast, "complete": False}


def _check_cases(cases: Mapping[str, Sequence[Case]], root: Path) -> tuple[dict[str, list[Case]], list[CaseRecord]]:
    """Return the cases that can be used by subject, and the records of the others."""
    usable: dict[str, list[Case]] = {}
    failed = []
    for subject, case in ((subject, case) for subject, listed in cases.items() for case in listed):
        image, label = root / case["image"], root / case["label"]
        record = CaseRecord(stem_of(image), str(label))
        try:
            _check_files(image, label)
        except Exception as error:
            record.fail(error)
            failed.append(record)
        else:
            usable.setdefault(subject, []).append(case)
    return usable, failed


def _check_files(image: Path, label: Path) -> None:
    check_header(image, SPACING_RANGE)
    header: Any = nib.load(image)
    discs = read_label_map(label)
    if not discs:
        raise DiscFileError(label, "holds no disc", "label the discs, or remove the file")
    check_discs_in_image(label, discs, image, header.shape[:3], nifti_affine(header))


def _site(subject: str) -> str:
    return re.sub(r"\d+$", "", subject)


def _assign_folds(unit_of: Mapping[str, str], test_share: float, folds: int, seed: int) -> dict[str, int]:
    """Return the fold of every subject, ``TEST_FOLD`` for the test; the subjects of a unit stay together."""
    sizes = Counter(unit_of.values())
    units = sorted(sizes)
    random.Random(seed).shuffle(units)
    is_held = dict(zip(units, hold_out([sizes[unit] for unit in units], test_share), strict=True))
    others = sorted((unit for unit in units if not is_held[unit]), key=lambda unit: -sizes[unit])
    fold_of = dict(zip(others, balance_folds([sizes[unit] for unit in others], folds), strict=True))
    return {subject: fold_of.get(unit, TEST_FOLD) for subject, unit in unit_of.items()}
