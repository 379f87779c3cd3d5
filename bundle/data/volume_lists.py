"""What the datalists of volumes share: pairing of images and labels, dealing by patient, the content of the file."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.io.label_tables import LabelTableError, LabelValues, class_labels, read_label_table
from bundle.io.volume_files import files_of, stem_of, volumes_in

from .datalist import Case
from .datalist_error import DatalistError

logger = logging.getLogger(__name__)

LABEL_MARKS = ("", "_glm", "-label", "_label", "_labels", "_seg", "_mask")
"""What the name of a label map may have behind that of its image."""

ORIGINAL = (("train", "training"), ("test", "test"))
"""Folders of the original project (AttentionBased-MIS), and the sections of a datalist that they become."""


def pair_volumes(images: Path, labels: Path) -> list[Case]:
    """Pair the volumes of a folder with the label maps of another by name, see :data:`LABEL_MARKS`.

    Returns:
        The cases, by name; those that have no label map have no ``"label"``.

    Raises:
        DatalistError: when an image has several label maps.
    """
    masks = volumes_in(labels)
    cases = []
    for image in volumes_in(images):
        names = [stem_of(image) + mark for mark in LABEL_MARKS]
        found = [mask for mask in masks if stem_of(mask) in names]
        if len(found) > 1:
            raise DatalistError(f"{image}: has several label maps: {', '.join(map(str, found))}; remove all but one.")
        cases.append({"image": str(image), **({"label": str(found[0])} if found else {})})
    return cases


def original_parts(root: Path) -> dict[str, list[Case]] | None:
    """List ``{train,test}/{images,masks}`` of the original project; None where the folder has not this layout."""
    if not volumes_in(root / "train" / "images"):
        return None
    return {section: pair_volumes(root / folder / "images", root / folder / "masks") for folder, section in ORIGINAL}


def with_patients(cases: Sequence[Case], patient: Callable[[str], str]) -> list[Case]:
    """Return the cases with ``"group"`` and ``"patient"``, by the name of their first file without its ending."""
    return [{**case, **_notes(patient(stem_of(files_of(case["image"])[0])))} for case in cases]


def labeled(cases: Sequence[Case]) -> list[Case]:
    """Return the cases with a label map; the others are told in the log."""
    for case in cases:
        if "label" not in case:
            logger.warning("%s: left out, since it has no label map", files_of(case["image"])[0])
    return [case for case in cases if "label" in case]


def deal(
    root: str | Path,
    cases: Sequence[Case],
    *,
    test_share: float,
    folds: int,
    seed: int,
    stratum: Callable[[Case], str] = lambda case: "",
) -> dict[str, list[Case]]:
    """Deal cases to a test set and folds by a seeded shuffle; cases of one ``"group"`` are never parted.

    Args:
        root: folder of the dataset, for messages.
        cases: cases, each of which may have a ``"group"``; one that has none is its own.
        test_share: share of the cases that is held out as test, from 0 to 1.
        folds: number of folds that the others are dealt to.
        seed: seed of the shuffle.
        stratum: kind of a case; every kind has a like share in all parts.

    Returns:
        ``{"training": [...], "test": [...]}``; training cases have a ``"fold"``.

    Raises:
        DatalistError: when a number is out of range, or there are too few groups for the folds.
    """
    if not 0 <= test_share <= 1 or folds < 2:
        raise DatalistError(f"test_share must lie in [0, 1] and folds be 2 or more, got {test_share} and {folds}.")
    units: dict[str, list[Case]] = {}
    for case in sorted(cases, key=lambda case: files_of(case["image"])):
        units.setdefault(str(case.get("group", files_of(case["image"])[0])), []).append(case)
    strata: dict[str, list[list[Case]]] = {}
    for unit in units.values():
        strata.setdefault(stratum(unit[0]), []).append(unit)
    shuffler = random.Random(seed)
    test: list[Case] = []
    left: list[list[Case]] = []
    for kind in sorted(strata):
        shuffler.shuffle(strata[kind])
        held, others = _held_out(strata[kind], test_share)
        test += held
        left += sorted(others, key=len, reverse=True)
    if left and len(left) < folds:
        raise DatalistError(
            f"{root}: {len(left)} cases or patients are left for {folds} folds; ask for fewer folds or a smaller test "
            "share, or hold all out with --test_share 1."
        )
    sizes, training = [0] * folds, []
    for unit in left:
        fold = sizes.index(min(sizes))
        sizes[fold] += len(unit)
        training += [{**case, "fold": fold} for case in unit]
    return {"training": training, "test": test}


def volume_datalist(
    root: str | Path,
    parts: Mapping[str, Sequence[Case]],
    *,
    seed: int,
    modality: Sequence[str] | None = None,
    table: LabelValues | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the content of a datalist in MSD form, with paths relative to ``root``, sorted by them.

    Args:
        root: folder of the dataset.
        parts: cases by ``"training"`` and ``"test"``.
        seed: seed of the split.
        modality: names of the channels of an image.
        table: values in the label maps by structure, where they are not the classes; becomes ``label_values``.
        labels: names of the classes by their values, ``"0"`` among them; None for those of the table.
    """
    content: dict[str, Any] = {"seed": seed}
    if modality is not None:
        content["modality"] = {str(place): name for place, name in enumerate(modality)}
    if table is not None:
        content["label_values"] = dict(table)
    known = class_labels(table) if labels is None and table is not None else labels
    if known is not None:
        content["labels"] = dict(known)
    for section in ("training", "test"):
        listed = [_relative(root, case) for case in parts.get(section, [])]
        content[section] = sorted(listed, key=lambda case: files_of(case["image"]))
    return content


def read_table(labels: str | Path) -> dict[str, Any]:
    """Read a table of structures that a user named, see :func:`bundle.io.label_tables.read_label_table`.

    Raises:
        DatalistError: when it cannot be used.
    """
    try:
        return read_label_table(labels)
    except LabelTableError as error:
        raise DatalistError(str(error)) from error


def folder_of(root: str | Path, holds: str) -> Path:
    """Return the folder of a dataset.

    Raises:
        DatalistError: when it is none.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DatalistError(f"{root}: is not a folder; name the one that holds {holds}.")
    return folder


def _notes(patient: str) -> dict[str, str]:
    return {"group": patient, "patient": patient}


def _held_out(units: Sequence[list[Case]], share: float) -> tuple[list[Case], list[list[Case]]]:
    """Split shuffled units into cases for the test, as near to their share as whole units allow, and the others."""
    wanted = round(sum(len(unit) for unit in units) * share)
    held: list[Case] = []
    others = []
    for unit in units:
        if abs(len(held) + len(unit) - wanted) < abs(len(held) - wanted):
            held += unit
        else:
            others.append(unit)
    return held, others


def _relative(root: str | Path, case: Case) -> Case:
    def path(file: str) -> str:
        return Path(os.path.relpath(file, root)).as_posix()

    image = case["image"]
    files: Case = {"image": path(image) if isinstance(image, str) else [path(file) for file in image]}
    if "label" in case:
        files["label"] = path(case["label"])
    return {**files, **{key: value for key, value in case.items() if key not in ("image", "label", "case")}}
