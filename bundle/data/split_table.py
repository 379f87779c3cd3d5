"""Splits of a dataset as a table names them, such as the official ones of a challenge."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from .datalist_file import Case, DatalistError
from .patient_tables import IDS

PARTS = ("training", "validation", "test")


def split_by_table(cases: Sequence[Case], table: str | Path) -> dict[str, list[Case]]:
    """Assign images to training, validation and test as a table names them.

    Args:
        cases: images of a dataset, by their ``"image"``.
        table: CSV file with a column ``image_id`` or ``image``, the names of the images without their endings, and a
            column ``split`` with ``training``, ``validation`` or ``test``. It may name images that do not exist.

    Returns:
        The images of every part.

    Raises:
        DatalistError: when the table cannot be read, lacks a column or an image, or names another split.
    """
    splits = _read_splits(Path(table))
    parts: dict[str, list[Case]] = {part: [] for part in PARTS}
    for case in cases:
        name = Path(str(case["image"])).stem
        if name not in splits:
            raise DatalistError(f"{table}: does not name the image {name}; add a row for it.")
        parts[splits[name]].append(case)
    return parts


def _read_splits(table: Path) -> dict[str, str]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise DatalistError(f"{table}: cannot be read ({error}); name the table with the split.") from error
    columns = rows[0] if rows else {}
    name = next((name for name in IDS if name in columns), None)
    if name is None or "split" not in columns:
        raise DatalistError(f"{table}: lacks the column {'split' if name else ' or '.join(IDS)}.")
    known: dict[str, str] = {}
    for row in rows:
        if known.setdefault(str(row[name]), str(row["split"])) != str(row["split"]):
            raise DatalistError(f"{table}: has rows of {row[name]} with different splits; keep one of them.")
    for image, split in known.items():
        if split not in PARTS:
            raise DatalistError(f"{table}: {image} has the split {split!r}; it must be training, validation or test.")
    return known
