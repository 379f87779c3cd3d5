"""From the labels that annotators submitted to a dataset that the workflows of the bundle read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.data.datalist_error import DatalistError

FINAL = "final"
"""Tag under which MONAI Label keeps what an annotator submitted."""

FEW = 5
"""Number of labeled cases below which none is held out for validation."""

AGAIN = "again"
"""Folder with second names of the images that are trained and validated on: a case has one name in a datalist."""


@dataclass(frozen=True)
class LabeledCase:
    """An image of the study folder and the label that was submitted for it.

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


def held_out(cases: Sequence[LabeledCase], share: float) -> list[LabeledCase]:
    """Return the cases that a training must not see, so that it is judged by them.

    A case is chosen by a hash of its name: the same cases stay held out while more labels come in, as far as possible.

    Args:
        cases: all labeled cases.
        share: share to hold out, in [0, 1).

    Returns:
        The cases; none where there are fewer than :data:`FEW` labels or the share is below half a case.
    """
    count = min(round(len(cases) * share), len(cases) - 1) if len(cases) >= FEW else 0
    by_hash = sorted(cases, key=lambda case: hashlib.sha256(case.name.encode()).hexdigest())
    return sorted(by_hash[:count], key=lambda case: case.name)


def write_dataset(
    cases: Sequence[LabeledCase], folder: str | Path, *, validation: Sequence[LabeledCase] = (), classes: bool = False
) -> Path:
    """Write a datalist in MSD form with absolute paths; fold 0 is for validation, fold 1 for training.

    Args:
        cases: all labeled cases.
        folder: folder to write to; it is emptied.
        validation: those of the cases that are not trained on. Without any, all are trained and validated on; the
            images then stand a second time in ``again/``, as links.
        classes: labels are JSON files ``{"classes": {name: 0 or 1}}`` and become the ``"classes"`` of a case.

    Returns:
        The datalist, ``dataset.json`` in ``folder``.

    Raises:
        DatalistError: when a label should name classes and does not.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out = {case.name for case in validation}
    items = [_item(case, case.image, 0 if case.name in out else 1, classes) for case in cases]
    if not out:
        (folder / AGAIN).mkdir()
        items += [_item(case, _again(case.image, folder / AGAIN), 0, classes) for case in cases]
    path = folder / "dataset.json"
    path.write_text(json.dumps({"training": items}, indent=2) + "\n", encoding="utf-8")
    return path


def _again(image: Path, folder: Path) -> Path:
    link = folder / image.name
    link.symlink_to(image, target_is_directory=image.is_dir())
    return link


def _item(case: LabeledCase, image: Path, fold: int, classes: bool) -> dict[str, Any]:
    if not classes:
        return {"image": str(image), "label": str(case.label), "fold": fold}
    return {"image": str(image), "classes": read_classes(case.label), "fold": fold}


def read_classes(label: Path) -> dict[str, int]:
    """Read the classes that a label file names.

    Raises:
        DatalistError: when the file has another form.
    """
    try:
        content = json.loads(label.read_text(encoding="utf-8-sig"))
        known = dict(content["classes"])
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DatalistError(
            f'{label}: names no classes; submit a file NAME.classes.json with {{"classes": {{"melanoma": 1, ...}}}}.'
        ) from error
    return known
