"""Patients of cases: what names them in datalists and tables, so that cases of one patient stay together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.io.volume_files import files_of

PATIENT = "patient"
GROUP = "group"

PATIENT_KEYS = ("patient", "patientid", "subject", "subjectid", "participant", "participantid")
"""Names of a patient in an item of a datalist or in a table, in lower case and without marks."""

GROUP_KEYS = ("lesionid", "group", "groupid")
"""Names of what stays together as well, such as the photographs of one lesion."""

_SUBJECT = re.compile(r"(?:^|[/\\_])(sub-[a-zA-Z0-9]+)")


def patient_keys(names: Iterable[str]) -> list[str]:
    """Return which of the names name a patient or a group, the most decisive first.

    Examples:
        >>> patient_keys(["image", "Lesion ID", "patient_id"])
        ['patient_id', 'Lesion ID']
    """
    order = (*PATIENT_KEYS, *GROUP_KEYS)
    found = {name: _plain(name) for name in names}
    return sorted((name for name in found if found[name] in order), key=lambda name: order.index(found[name]))


def named_patient(item: Mapping[str, Any]) -> dict[str, str]:
    """Return ``"patient"`` and ``"group"`` of an item or of a row of a table, as far as it names them."""
    found: dict[str, str] = {}
    for key in patient_keys(item):
        value = str("" if item[key] is None else item[key]).strip()
        if value:
            found.setdefault(PATIENT if _plain(key) in PATIENT_KEYS else GROUP, value)
    return found


def find_subject(path: str) -> str | None:
    """Return the subject that a path in the form of BIDS names.

    Examples:
        >>> find_subject("imagesTr/sub-07_ses-1_T1w.nii.gz")
        'sub-07'
    """
    found = _SUBJECT.search(path)
    return found[1] if found else None


def patients_of(cases: Sequence[Mapping[str, Any]], root: str | Path | None = None) -> list[str | None]:
    """Return what the cases that have to stay together share: their patient, else their group, else their BIDS subject.

    A case without a patient has that of the other cases of its group or subject, and one without a group the group of
    its subject, where these name exactly one. Groups that part the BIDS subjects, such as those of contrasts, do not
    count.

    Args:
        cases: cases with ``"image"`` and, under any of :data:`PATIENT_KEYS` and :data:`GROUP_KEYS`, patient or group.
        root: folder of the dataset; folders above do not name a subject.

    Returns:
        One name per case; None for a case of its own.

    Examples:
        >>> patients_of([{"image": "a.png", "patient_id": 7}, {"image": "b.png"}])
        ['7', None]
    """
    named = [named_patient(case) for case in cases]
    subjects = [find_subject(_relative(files_of(case["image"])[0], root)) for case in cases]
    groups = [name.get(GROUP) for name in named]
    groups_of = _values_by(subjects, groups)
    parted = any(len(found) > 1 for found in groups_of.values())
    if parted:
        groups = [subject or group for subject, group in zip(subjects, groups, strict=True)]
    else:
        both = zip(subjects, groups, strict=True)
        groups = [group or _only(groups_of.get(subject)) or subject for subject, group in both]
    patients = [name.get(PATIENT) for name in named]
    of_group, of_subject = _values_by(groups, patients), _values_by(subjects, patients)
    return [
        patient or _only(of_group.get(group)) or _only(of_subject.get(subject)) or group
        for patient, group, subject in zip(patients, groups, subjects, strict=True)
    ]


def _values_by(keys: Sequence[str | None], values: Sequence[str | None]) -> dict[str | None, set[str]]:
    """Return the values that occur with every key, without None."""
    found: dict[str | None, set[str]] = {}
    for key, value in zip(keys, values, strict=True):
        if key is not None and value is not None:
            found.setdefault(key, set()).add(value)
    return found


def _only(values: set[str] | None) -> str | None:
    return next(iter(values)) if values and len(values) == 1 else None


def parted_patients(cases: Sequence[Mapping[str, Any]], parts: Sequence[Any], root: str | Path | None) -> list[str]:
    """Return the patients that have cases in several parts of a split.

    Args:
        cases: cases, see :func:`patients_of`.
        parts: part of every case.
        root: folder of the dataset.
    """
    parts_of: dict[str, set[Any]] = {}
    for patient, part in zip(patients_of(cases, root), parts, strict=True):
        if patient is not None:
            parts_of.setdefault(patient, set()).add(part)
    return sorted(patient for patient, found in parts_of.items() if len(found) > 1)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", str(name).lower())


def _relative(file: str, root: str | Path | None) -> str:
    if root is None or not Path(file).is_relative_to(root):
        return file
    return str(Path(file).relative_to(root))
