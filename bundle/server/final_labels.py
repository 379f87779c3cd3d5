"""Final labels of the datastore, written as a datalist that the workflows of the bundle read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import DatalistError
from bundle.utils.errors import FileError
from bundle.utils.write_json import write_json

from .annotations import convert_annotation
from .label_info import match_names
from .label_kinds import CLASSES, KIND_NAMES, LABEL_MAP, find_kind
from .label_tasks import LabelTask
from .labeled_case import LabeledCase
from .region_crops import cut_regions
from .server_errors import RequestError

FINAL = "final"
"""Tag of MONAI Label for labels that an annotator submitted."""

MIN_CASES_TO_SPLIT = 5
"""Number of labeled cases from which some are held out for validation."""

LINKS = "links"
"""Folder of links to images that are both trained and validated on: a name occurs once in a datalist."""


def labeled_cases(datastore: Any, task: LabelTask) -> list[LabeledCase]:
    """Return the images with a final label that a task uses, sorted by name.

    Args:
        datastore: :class:`.datastore.StudyDatastore`.
        task: the task.
    """
    found = [datastore.find_final_label(name, task) for name in sorted(datastore.get_labeled_images())]
    return [case for case in found if case is not None]


def unlabeled_images(datastore: Any, task: LabelTask) -> list[str]:
    """Return the images without a final label that a task uses, sorted by name."""
    return sorted(set(datastore.list_images()) - {case.name for case in labeled_cases(datastore, task)})


def require_cases(datastore: Any, task: LabelTask, purpose: str) -> list[LabeledCase]:
    """Return the images with a final label that a task uses.

    Args:
        datastore: :class:`.datastore.StudyDatastore`.
        task: the task.
        purpose: what they are needed for.

    Raises:
        RequestError: 409, if there are none.
    """
    cases = labeled_cases(datastore, task)
    if not cases:
        kinds = " or a ".join(KIND_NAMES[kind] for kind in task.label_kinds)
        suitable = f" of {', '.join(list(task.labels)[:3])}" if datastore.get_labeled_images() else ""
        raise RequestError(
            409, f"{task.name}: no image has a final label{suitable}; submit one before {purpose}: a {kinds}."
        )
    return cases


def convert_cases(cases: Sequence[LabeledCase], task: LabelTask, folder: Path) -> tuple[list[LabeledCase], list[str]]:
    """Convert labels to the values of a task, if they have others, and cut the regions of images such as heads.

    Args:
        cases: the labeled cases.
        task: the task.
        folder: folder for the converted copies; its content is deleted.

    Returns:
        The cases with labels that the task reads, one per region, and the messages of those that cannot be converted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    converted, problems = [], []
    for case in cases:
        try:
            if find_kind(case.label) == LABEL_MAP:
                label = convert_annotation(case.label, case.image, task, case.names, folder / case.name)
                case = replace(case, label=label)
            converted += cut_regions(case, task, folder / "regions")
        except (FileError, RequestError) as error:
            problems.append(str(error))
    return converted, problems


def select_validation_cases(cases: Sequence[LabeledCase], fraction: float) -> list[LabeledCase]:
    """Return the cases to hold out from training for validation.

    Images are ordered by a hash of their names, so that few change sides when labels are added. The regions of an image
    stay together.

    Args:
        cases: all labeled cases.
        fraction: fraction to hold out, in [0, 1).

    Returns:
        The cases; none below :data:`MIN_CASES_TO_SPLIT` images or if the fraction is below half an image.
    """
    names = {case.name for case in cases}
    count = min(round(len(names) * fraction), len(names) - 1) if len(names) >= MIN_CASES_TO_SPLIT else 0
    held_out = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count]
    return sorted((case for case in cases if case.name in held_out), key=lambda case: case.name)


def write_dataset(
    cases: Sequence[LabeledCase],
    folder: str | Path,
    *,
    validation: Sequence[LabeledCase] = (),
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a datalist in MSD format with absolute paths; fold 0 is for validation, fold 1 for training.

    Args:
        cases: all labeled cases.
        folder: folder to write to; its content is deleted.
        validation: the cases to hold out. If there are none, all cases are used for training and for validation;
            the images of the latter are links in ``links/``.
        classes: names of classes; the labels are JSON files ``{"classes": {name: 0 or 1}}`` then, written as
            ``"classes"`` of a case. None for label maps, masks and markups.

    Returns:
        The path of the datalist, ``dataset.json`` in ``folder``.

    Raises:
        DatalistError: if a label should contain classes and does not.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    validation_names = {case.name for case in validation}
    items = [_datalist_item(case, case.image, 0 if case.name in validation_names else 1, classes) for case in cases]
    if not validation_names:
        (folder / LINKS).mkdir()
        items += [_datalist_item(case, _link(case.image, folder / LINKS), 0, classes) for case in cases]
    path = folder / "dataset.json"
    write_json(path, {"training": items})
    return path


def _link(image: Path, folder: Path) -> Path:
    link = folder / image.name
    link.symlink_to(image, target_is_directory=image.is_dir())
    return link


def _datalist_item(case: LabeledCase, image: Path, fold: int, classes: Sequence[str] | None) -> dict[str, Any]:
    if classes is None:
        return {"image": str(image), "label": str(case.label), "fold": fold}
    found = read_classes(case.label)
    known = match_names(found, classes)
    return {"image": str(image), "classes": {known.get(name, name): found[name] for name in found}, "fold": fold}


def check_classes(label: Path, tasks: Sequence[LabelTask], display_name: str) -> None:
    """Check that a label contains 0 or 1 for every class of the tasks for classification.

    Args:
        label: the file.
        tasks: the served tasks.
        display_name: name of the label in error messages.

    Raises:
        RequestError: 400, with the expected and the received classes.
        DatalistError: if the file has another format.
    """
    found = read_classes(label)
    for task in (task for task in tasks if CLASSES in task.label_kinds):
        values = {known: found[name] for name, known in match_names(found, task.labels).items()}
        if any(values.get(name) not in (0, 1) for name in task.labels):
            raise RequestError(
                400,
                f"{display_name}: contains the classes {found}; expected 0 or 1 for {', '.join(task.labels)} "
                f"({task.name}).",
            )


def read_classes(label: Path) -> dict[str, int]:
    """Read the classes of a label file.

    Raises:
        DatalistError: if the file has another format.
    """
    try:
        content = json.loads(label.read_text(encoding="utf-8-sig"))
        classes = dict(content["classes"])
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DatalistError(
            f'{label}: contains no classes; submit a file NAME.classes.json with {{"classes": {{"melanoma": 1, ...}}}}.'
        ) from error
    return classes
