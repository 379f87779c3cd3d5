"""Final labels of the datastore, written as a datalist that the workflows of the bundle read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import DatalistError
from bundle.utils.write_json import write_json

FINAL = "final"
"""Tag of MONAI Label for labels that an annotator submitted."""

MIN_CASES_TO_SPLIT = 5
"""Number of labeled cases from which some are held out for validation."""

LINKS = "links"
"""Folder of links to images that are both trained and validated on: a name occurs once in a datalist."""


@dataclass(frozen=True)
class LabeledCase:
    """An image of the study folder and its final label.

    Args:
        name: id of the image in the datastore.
        image: file of the image.
        label: file of the label.
    """

    name: str
    image: Path
    label: Path


def labeled_cases(datastore: Any) -> list[LabeledCase]:
    """Return the images with a final label, sorted by name.

    Args:
        datastore: ``monailabel.interfaces.datastore.Datastore``.
    """
    return [
        LabeledCase(name, Path(datastore.get_image_uri(name)), Path(datastore.get_label_uri(name, FINAL)))
        for name in sorted(datastore.get_labeled_images())
    ]


def select_validation_cases(cases: Sequence[LabeledCase], fraction: float) -> list[LabeledCase]:
    """Return the cases to hold out from training for validation.

    Cases are ordered by a hash of their names, so that few change sides when labels are added.

    Args:
        cases: all labeled cases.
        fraction: fraction to hold out, in [0, 1).

    Returns:
        The cases; none below :data:`MIN_CASES_TO_SPLIT` labels or if the fraction is below half a case.
    """
    count = min(round(len(cases) * fraction), len(cases) - 1) if len(cases) >= MIN_CASES_TO_SPLIT else 0
    by_hash = sorted(cases, key=lambda case: hashlib.sha256(case.name.encode()).hexdigest())
    return sorted(by_hash[:count], key=lambda case: case.name)


def write_dataset(
    cases: Sequence[LabeledCase], folder: str | Path, *, validation: Sequence[LabeledCase] = (), classes: bool = False
) -> Path:
    """Write a datalist in MSD format with absolute paths; fold 0 is for validation, fold 1 for training.

    Args:
        cases: all labeled cases.
        folder: folder to write to; its content is deleted.
        validation: the cases to hold out. If there are none, all cases are used for training and for validation;
            the images of the latter are links in ``links/``.
        classes: labels are JSON files ``{"classes": {name: 0 or 1}}``, written as ``"classes"`` of a case.

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


def _datalist_item(case: LabeledCase, image: Path, fold: int, classes: bool) -> dict[str, Any]:
    if not classes:
        return {"image": str(image), "label": str(case.label), "fold": fold}
    return {"image": str(image), "classes": read_classes(case.label), "fold": fold}


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
