"""2D images with classes: their datalist from a folder and a table, and its cases.

A case has ``"classes"``, 1 or 0 by the name of every class, in the place of a label file.
"""

from __future__ import annotations

import csv
import logging
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import WeightedRandomSampler

from bundle.utils.path_options import check_path_options

from .case_names import name_images
from .case_review import CaseReview
from .datalist import Split, choose_split, log_parted_patients, parse_fold
from .datalist_file import TRAINING, VALIDATION, Case, DatalistError, datalist_content, read_datalist, read_fold
from .fold_assignment import assign_folds, hold_out
from .pairing import images_in
from .patient_tables import IDS, tables_in, with_patients_of_tables
from .patients import patients_of
from .split_table import split_by_table

logger = logging.getLogger(__name__)


def prepare_classified_folder(
    root: str | Path,
    *,
    classes: Sequence[str],
    images: str = "images",
    table: str = "labels.csv",
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
    splits: str | None = None,
) -> dict[str, Any]:
    """List the images of a folder with their classes; test set and folds have similar shares of all classes.

    Args:
        root: folder of the dataset.
        classes: columns of the table that hold 1 or 0.
        images: folder of the images, in ``root``.
        table: CSV file, in ``root``, with a column ``image_id`` or ``image`` and one column per class. Images with the
            same ``patient_id`` or ``lesion_id``, in this table or another one in ``root``, stay together.
        test_share: share of the images that is held out as ``test``, in [0, 1).
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.
        splits: CSV file, in ``root``, that names the part of every image, see
            :func:`bundle.data.split_table.split_by_table`; None to draw the parts.

    Returns:
        The content of a datalist, with paths relative to ``root``.

    Raises:
        DatalistError: when the folder or table cannot be used, or a number is out of range.
    """
    if not 0 <= test_share < 1 or folds < 2:
        raise DatalistError(f"test_share must lie in [0, 1) and folds be 2 or more, got {test_share} and {folds}.")
    cases = classified_cases(Path(root, images), Path(root, table), classes)
    cases = with_patients_of_tables(cases, [Path(root, table), *tables_in(Path(root))])
    if splits is not None:
        return datalist_content(root, split_by_table(cases, Path(root, splits)), seed=seed)
    strata: dict[tuple[int, ...], list[list[Case]]] = {}
    for unit in _units(cases, Path(root)):
        strata.setdefault(tuple(unit[0]["classes"].values()), []).append(unit)
    test: list[Case] = []
    training: list[list[Case]] = []
    for stratum in (strata[key] for key in sorted(strata)):
        random.Random(seed).shuffle(stratum)
        is_held = hold_out([len(unit) for unit in stratum], test_share)
        test += [case for unit, held in zip(stratum, is_held, strict=True) if held for case in unit]
        training += [unit for unit, held in zip(stratum, is_held, strict=True) if not held]
    if len(training) < folds:
        raise DatalistError(f"{root}: {len(training)} images or patients are left for {folds} folds; ask for fewer.")
    assigned = [{**case, "fold": place % folds} for place, unit in enumerate(training) for case in unit]
    return datalist_content(root, {"training": assigned, "test": test}, seed=seed)


def classified_cases(images: Path, table: Path, classes: Sequence[str]) -> list[Case]:
    """Return the images of a folder with their classes, by name.

    Args:
        images: folder of the images.
        table: CSV file with a column ``image_id`` or ``image`` and one column per class that holds 1 or 0. It may
            name images that do not exist.
        classes: names of the classes.

    Raises:
        DatalistError: when the table cannot be used, there are no images, or one is not in the table.
    """
    known = _read_table(table, classes)
    found = images_in(images)
    if not found:
        raise DatalistError(f"{images}: holds no images.")
    missing = [file.name for file in found if file.stem not in known]
    if missing:
        raise DatalistError(f"{table}: does not name {len(missing)} images, the first of these: {missing[0]}.")
    return [{"image": str(file), "classes": known[file.stem]} for file in found]


def select_classified(
    dataset_dir: str | Path,
    split: Split,
    *,
    classes: Sequence[str],
    datalist: str | Path | None = None,
    fold: int | str | None = 0,
    review: CaseReview | None = None,
) -> list[Case]:
    """Return the images of one split of a datalist with their classes.

    Args:
        dataset_dir: folder that the paths of the datalist are relative to.
        split: ``"training"`` (all folds except ``fold``), ``"validation"`` (``fold``), ``"test"`` or ``"all"``.
        classes: names of the classes; ``"label"`` of a case is their 0 or 1 in this order, float32 ``(C,)``.
        datalist: JSON file; None for ``dataset.json`` in ``dataset_dir``. Its section ``validation`` counts as fold 0.
        fold: the fold that is held out for validation; "all" or None to train with all cases.
        review: leaves out images by their ratings; None for none.

    Raises:
        DatalistError: when the datalist cannot be used, lacks a class, or the split is unknown or empty.
    """
    check_path_options(dataset_dir=dataset_dir, datalist=datalist)
    path = Path(datalist) if datalist else Path(dataset_dir, "dataset.json")
    content = read_datalist(path)
    sections = {
        name: [_case(path, dataset_dir, item, classes) for item in content.get(name, [])]
        for name in ("training", "validation", "test")
    }
    validation = sections.pop("validation")
    if validation:
        named = [{**case, "fold": read_fold(case, path, TRAINING)} for case in sections["training"]]
        sections["training"] = named + [{**case, "fold": VALIDATION} for case in validation]
    unassigned = [case["image"] for case in sections["training"] if "fold" not in case]
    if unassigned and len(unassigned) < len(sections["training"]):
        raise DatalistError(
            f"{path}: some images have a 'fold' and others have none, the first of these: {unassigned[0]}."
        )
    if unassigned:
        sections["training"] = assign_folds(sections["training"], 5, root=dataset_dir)
    log_parted_patients(sections["training"], sections["test"], dataset_dir)
    sections["training"] = [{**case, "fold": read_fold(case, path, 0)} for case in sections["training"]]
    cases = name_images(choose_split(sections, split, parse_fold(fold), path, review=review))
    if split == "validation":
        _log_classes_without_auc(path, cases, classes)
    return cases


def _log_classes_without_auc(path: Path, cases: Sequence[Case], classes: Sequence[str]) -> None:
    for name, count in zip(classes, np.sum([case["label"] for case in cases], axis=0), strict=True):
        if count in (0, len(cases)):
            logger.warning(
                "%s: %d of %d images of the validation are of the class %s, so that its area under the curve is "
                "undefined; choose other folds to validate it",
                path,
                count,
                len(cases),
                name,
            )


def class_sampler(dataset: Any, *, balance: float = 1.0, samples: int | None = None) -> WeightedRandomSampler:
    """Return a sampler that draws images, with replacement, so that rare classes are seen more often.

    Images with the same classes are a kind. A kind of n images is drawn in proportion to n to the power of
    ``1 - balance``.

    Args:
        dataset: dataset whose ``data`` are cases of :func:`select_classified`.
        balance: 0 draws all images equally often, 1 all kinds.
        samples: draws in an epoch; None for as many as there are images.

    Raises:
        DatalistError: when a number is out of range.
    """
    kinds = [tuple(np.asarray(case["label"]).tolist()) for case in dataset.data]
    count = len(kinds) if samples is None else samples
    if not 0 <= balance <= 1 or count < 1:
        raise DatalistError(
            f"balance must lie in [0, 1] and the samples of an epoch be 1 or more, got {balance} and {count}."
        )
    sizes = Counter(kinds)
    return WeightedRandomSampler([sizes[kind] ** -balance for kind in kinds], count)


def _case(path: Path, root: str | Path, item: Any, classes: Sequence[str]) -> Case:
    known = item.get("classes") if isinstance(item, dict) else None
    if not isinstance(known, dict) or "image" not in item or any(known.get(name) not in (0, 1) for name in classes):
        raise DatalistError(
            f"{path}: holds {item!r}; an item needs an 'image' and 'classes' with {', '.join(classes)}."
        )
    label = np.array([known[name] for name in classes], dtype=np.float32)
    return {**item, "image": str(Path(root, item["image"])), "label": label}


def _units(cases: Sequence[Case], root: Path) -> list[list[Case]]:
    """Return what stays together, in the order of the cases."""
    units: dict[tuple[str | None, int], list[Case]] = {}
    for place, (case, patient) in enumerate(zip(cases, patients_of(cases, root), strict=True)):
        units.setdefault((patient, -1 if patient else place), []).append(case)
    return list(units.values())


def _read_table(table: Path, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise DatalistError(f"{table}: cannot be read ({error}); name the table with the classes.") from error
    columns = rows[0] if rows else {}
    name = next((name for name in IDS if name in columns), None)
    absent = [column for column in classes if column not in columns]
    if name is None or absent:
        raise DatalistError(f"{table}: lacks the column {absent[0] if absent else ' or '.join(IDS)}.")
    known: dict[str, dict[str, int]] = {}
    for row in rows:
        values = {column: row[column] for column in classes}
        if any(value not in ("0", "1", "0.0", "1.0") for value in values.values()):
            raise DatalistError(f"{table}: {row[name]} has the classes {values}; they must be 0 or 1.")
        found = {column: int(float(value)) for column, value in values.items()}
        if known.setdefault(str(row[name]), found) != found:
            raise DatalistError(f"{table}: has rows of {row[name]} with different classes; keep one of them.")
    return known
