"""The split of a plan: the test set and the folds of a dataset, or new ones, written as its datalist."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.data.datalist import load_datalist
from bundle.data.datalist_file import DESCRIPTION, Case, datalist_content, write_datalist
from bundle.data.fold_assignment import split_cases
from bundle.data.layouts import describe_dataset, read_content
from bundle.data.patients import patients_of

logger = logging.getLogger(__name__)

VALIDATION_CASES = 10
"""Cases of a fold, as far as there are enough."""

LEAST_TO_HOLD_OUT = 4
"""Fewest patients of which some are held out as test."""


def write_split(root: Path, datalist: str | Path | None, file: Path, *, test_share: float, seed: int) -> dict[str, Any]:
    """Write the datalist of a plan, and return its content.

    Folds, a section ``validation`` and test cases of a dataset are kept. Otherwise a test set is held out, and the
    others are assigned to folds of about :data:`VALIDATION_CASES` cases.

    Args:
        root: folder of the dataset.
        datalist: JSON file in MSD form; None to read the folder. Where it does not describe classes, the folder does.
        file: file to write to.
        test_share: share of the cases to hold out where there is no labeled test set.
        seed: seed of the split.

    Raises:
        DatalistError: when the dataset cannot be listed.
    """
    path, content = read_content(root, datalist)
    lists = load_datalist(root, datalist)
    if _has_folds(content):
        parts = lists
    else:
        bare = [{key: value for key, value in case.items() if key != "fold"} for case in lists["training"]]
        parts = _assign(root, bare, 0.0 if lists["test"] else test_share, seed)
        parts["test"] += lists["test"]
    written: dict[str, Any] = _description(root, content) | datalist_content(root, parts, seed=seed)
    write_datalist(written, file)
    logger.info("%s: split written to %s", path, file)
    return written


def _has_folds(content: Mapping[str, Any]) -> bool:
    training = content.get("training", [])
    return bool(content.get("validation")) or any("fold" in item for item in training if isinstance(item, Mapping))


def _description(root: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what describes channels and classes: the datalist, or the folder where that names no classes."""
    described = {key: content[key] for key in DESCRIPTION if key in content}
    if "labels" in described:
        return described
    of_folder = describe_dataset(root)[1]
    return {key: of_folder[key] for key in DESCRIPTION if key in of_folder} | described


def _assign(root: Path, cases: Sequence[Case], share: float, seed: int) -> dict[str, list[Case]]:
    """Assign cases to a test set and to folds, as far as there are patients for both.

    Of less than :data:`LEAST_TO_HOLD_OUT` patients, none is held out as test. The cases of one patient alone are for
    training and for validation.
    """
    patients = _count_patients(root, cases)
    if patients < 2:
        return {"training": [{**case, "fold": 0} for case in cases], "test": []}
    share = share if patients >= LEAST_TO_HOLD_OUT else 0.0
    training = split_cases(root, cases, test_share=share, folds=2, seed=seed)["training"]
    folds = int(min(max(len(training) / VALIDATION_CASES, 5), 20, _count_patients(root, training)))
    return split_cases(root, cases, test_share=share, folds=folds, seed=seed)


def _count_patients(root: Path, cases: Sequence[Case]) -> int:
    return len({patient or number for number, patient in enumerate(patients_of(cases, root))})
