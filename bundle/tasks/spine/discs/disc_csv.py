"""Discs as CSV files: one row per disc, positions in world mm (RAS+, the frame of a NIfTI affine)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from bundle.utils.atomic_write import atomic_write

from .disc_errors import DiscFileError
from .disc_label_map import nearest_voxel
from .disc_points import Disc, check_name, one_per_level, point_of

COLUMNS = ("level_value", "level_name", "R_mm", "A_mm", "S_mm", "i", "j", "k", "confidence")
"""Columns of a CSV file."""

REQUIRED = ("level_value", "R_mm", "A_mm", "S_mm")
"""Columns without which a CSV file cannot be read."""


def write_disc_csv(discs: Iterable[Disc], path: str | Path, *, affine: np.ndarray | None = None) -> None:
    """Write discs as CSV, one row each, with positions to a thousandth of a mm.

    Args:
        discs: the discs.
        path: file to write.
        affine: affine of the image, for the voxel indices; without it, their cells stay empty.
    """
    with atomic_write(Path(path)) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for disc in discs:
            voxel = ("", "", "") if affine is None else nearest_voxel(disc, affine)
            confidence = "" if disc.confidence is None else f"{disc.confidence:.4f}"
            writer.writerow([disc.value, disc.name, *(f"{x:.3f}" for x in disc.position), *voxel, confidence])


def read_disc_csv(path: str | Path) -> list[Disc]:
    """Read the discs that :func:`write_disc_csv` wrote; only the columns of :data:`REQUIRED` are required.

    Raises:
        DiscFileError: when the file cannot be read, lacks a column or has a row that is not a disc.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DiscFileError(path, f"cannot be read ({error})", "check the path, or export it again") from error
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DiscFileError(path, f"lacks the columns {missing}, it has {names}", "add them, separated by commas")
    discs = [_disc_of_row(path, number, row) for number, row in enumerate(rows, start=2)]
    return one_per_level(discs, source=path)


def _disc_of_row(path: str | Path, line: int, row: Mapping[str, str]) -> Disc:
    try:
        confidence = float(row["confidence"]) if row.get("confidence") else None
        position = point_of(np.array([row[name] for name in REQUIRED[1:]], dtype=np.float64))
        return check_name(Disc(int(row["level_value"]), position, confidence), row.get("level_name"))
    except (TypeError, ValueError) as error:
        problem = f"line {line} is not a disc ({str(error).rstrip('.')})"
        raise DiscFileError(path, problem, "correct the line") from error
