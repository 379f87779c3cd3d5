"""Identifiers of a case, by which its results are joined with other tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .volume_files import stem_of

DICOM_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID")
"""Attributes of a DICOM series."""

BIDS_ENTITY = re.compile(r"(?:^|_)([a-z]+)-([0-9A-Za-z+]+)(?=_)")
"""An entity in the name of a BIDS file, such as ``sub-01``."""


def dicom_identifiers(header: Any) -> dict[str, str]:
    """Return the identifiers in a DICOM header that are not empty."""
    found = {name: str(header.get(name) or "") for name in DICOM_IDENTIFIERS}
    return {name: value for name, value in found.items() if value}


def bids_identifiers(file: str) -> dict[str, str]:
    """Return the entities in the name of a BIDS file; none of a name that does not begin with a subject.

    Examples:
        >>> bids_identifiers("data/sub-01_ses-2_T1w.nii.gz")
        {'sub': '01', 'ses': '2'}
        >>> bids_identifiers("data/scan_acq-fast_T1w.nii.gz")
        {}
    """
    found = dict(BIDS_ENTITY.findall(stem_of(file)))
    return found if next(iter(found), None) == "sub" else {}


def identifiers_of(file: str, meta: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the identifiers of an image: of a DICOM series those of its headers, else the BIDS entities of its name.

    Args:
        file: file of the image.
        meta: metadata of the loaded image, where readers leave the identifiers of a series; None before it is loaded.
    """
    return dict((meta or {}).get("identifiers") or bids_identifiers(file))
