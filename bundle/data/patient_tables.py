"""Patients of 2D images, from the tables next to them."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .datalist_file import Case
from .pairing import IMAGE_ENDINGS
from .patients import named_patient, patient_keys

logger = logging.getLogger(__name__)

IDS = ("image_id", "image", "isic_id")
"""Names of the column of a table that names the images."""

TABLES = (".csv", ".tsv")

NO_PATIENT = ("", "nan", "na", "n/a", "none", "unknown")
"""What a table holds where it does not know the patient, in lower case."""


def tables_in(folder: Path) -> list[Path]:
    """List the tables directly in a folder."""
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in TABLES and file.is_file())


def with_patients_of_tables(cases: Sequence[Case], tables: Iterable[Path]) -> list[Case]:
    """Return 2D images with ``"patient"`` and ``"group"``, as far as tables name them; which ones is logged.

    Args:
        cases: cases with ``"image"``.
        tables: CSV or TSV files; those with a column of :data:`IDS` and one such as ``patient_id`` or ``lesion_id``
            count, the first ones the most.
    """
    known: dict[str, dict[str, str]] = {}
    for table in dict.fromkeys(tables):
        for image, found in _read_patients(table).items():
            known[image] = {**found, **known.get(image, {})}
    return [{**known.get(Path(case["image"]).stem, {}), **case} for case in cases]


def _read_patients(table: Path) -> dict[str, dict[str, str]]:
    """Return ``"patient"`` and ``"group"`` of the images that a table names, none where it has no such columns."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t" if table.suffix.lower() == ".tsv" else ","))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    columns = [column for column in (rows[0] if rows else {}) if column]
    name = next((column for column in columns if column.lower() in IDS), None)
    keys = [key for key in patient_keys(columns) if key.lower() != "group"]
    if name is None or not keys:
        return {}
    found = {Path(row[name] or "").name: _known_patient(row, keys) for row in rows}
    together = {tuple(sorted(patient.items())) for patient in found.values() if patient}
    if not together:
        return {}
    logger.info("%s: images of the same %s stay together, %d in all", table, " or ".join(keys), len(together))
    return {_stem(image): patient for image, patient in found.items()}


def _known_patient(row: Mapping[str, str | None], keys: Sequence[str]) -> dict[str, str]:
    values = {key: row[key] for key in keys}
    return named_patient(
        {key: value for key, value in values.items() if (value or "").strip().lower() not in NO_PATIENT}
    )


def _stem(image: str) -> str:
    """Return the name of an image without the ending of a 2D image."""
    path = Path(image)
    return path.stem if path.suffix.lower() in IMAGE_ENDINGS else image
