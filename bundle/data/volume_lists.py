"""What the datalists of volumes share: folders, patients, and tables of structures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bundle.io.label_tables import LabelTableError, read_label_table
from bundle.io.volume_files import files_of, stem_of, volumes_in

from .datalist_file import Case, DatalistError
from .pairing import pair_volumes

ORIGINAL = (("train", "training"), ("test", "test"))
"""Folders of the original project (AttentionBased-MIS), and the sections of a datalist that they become."""


def original_parts(root: Path) -> dict[str, list[Case]] | None:
    """List ``{train,test}/{images,masks}`` of the original project; None where the folder has another layout."""
    if not volumes_in(root / "train" / "images"):
        return None
    return {section: pair_volumes(root / folder / "images", root / folder / "masks") for folder, section in ORIGINAL}


def with_patients(cases: Sequence[Case], patient: Callable[[str], str]) -> list[Case]:
    """Return the cases with their ``"patient"``, by the name of their first file without its extension."""
    names = [patient(stem_of(files_of(case["image"])[0])) for case in cases]
    return [{**case, "patient": name} for case, name in zip(cases, names, strict=True)]


def find_patients(cases: list[Case], patient: str | None) -> list[Case]:
    """Return the cases with the patient that a regular expression finds in the names of their images, if any.

    Raises:
        DatalistError: when it is not a regular expression, has no group, or does not match a name.
    """
    if patient is None:
        return cases
    try:
        pattern = re.compile(patient)
    except re.error as error:
        raise DatalistError(f"--patient {patient}: is not a regular expression ({error}).") from error

    def name(stem: str) -> str:
        match = pattern.search(stem)
        if match is None or not match.groups():
            raise DatalistError(f"--patient {patient}: finds no patient in {stem!r}; put what names it in parentheses.")
        return match[1]

    return with_patients(cases, name)


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
        DatalistError: when it is not a folder.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DatalistError(f"{root}: is not a folder; name the one that holds {holds}.")
    return folder
