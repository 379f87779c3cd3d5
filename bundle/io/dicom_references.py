"""What DICOM objects about a series repeat from it: headers of its slices, and names of the labeled structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bundle.utils.label_names import structures_of

from .dicom import Series, slice_files
from .itk import require

NEEDED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber"),
)
"""Attributes that DICOM wants in every image, empty where nothing is known."""

UTF_8 = "ISO_IR 192"
"""Character set of the written objects, since names of structures and patients may have any letters."""


def source_headers(series: Series) -> list[Any]:
    """Return the headers of the slices in order, with all attributes that an object about them copies.

    Sex, dates and times that are not valid in DICOM are emptied.
    """
    pydicom = require("pydicom", series.source)
    with slice_files(series) as files:
        headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    for header in headers:
        for name in NEEDED:
            if not _is_valid(pydicom.valuerep, name, header.get(name)):
                setattr(header, name, "")
        if header.get("SliceThickness") is None:
            header.SliceThickness = round(float(np.linalg.norm(series.affine[:3, 2])), 6)
    return headers


def names_by_value(labels: np.ndarray, label_names: Mapping[str, int]) -> dict[int, str]:
    """Return the name of every value, in the order of the values.

    A value with several names has all of them; a value of the label map that has none is called ``label 4`` or alike.

    Examples:
        >>> names_by_value(np.array([0, 2, 3]), {"background": 0, "liver": 3, "spleen": 1})
        {1: 'spleen', 2: 'label 2', 3: 'liver'}
    """
    names: dict[int, list[str]] = {int(value): [] for value in np.unique(labels) if value}
    for name, value in structures_of(label_names).items():
        names.setdefault(int(value), []).append(name)
    return {value: ", ".join(names[value]) or f"label {value}" for value in sorted(names)}


def _is_valid(valuerep: Any, name: str, value: Any) -> bool:
    if value is None:
        return False
    if name == "PatientSex":
        return value in ("", "M", "F", "O")
    kinds = {"PatientBirthDate": valuerep.DA, "StudyDate": valuerep.DA, "StudyTime": valuerep.TM}
    try:
        kinds.get(name, str)(value)
    except ValueError:
        return False
    return True
