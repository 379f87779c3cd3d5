"""Discs as CSV files: one row per disc, positions in world mm (RAS+, the frame of a NIfTI affine)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bundle.utils.atomic_write import atomic_write

from .disc_errors import DiscFileError
from .disc_label_map import nearest_voxel, world_to_voxel
from .disc_points import Disc, check_name, one_per_level, point_of
from .levels import NUMBERINGS, Numbering, disc_value, level_number

COLUMNS = ("level_value", "level_name", "R_mm", "A_mm", "S_mm", "i", "j", "k", "confidence")
"""Columns of a CSV file."""

VOXEL = ("i", "j", "k")
"""Columns of the voxel, which may be empty or missing."""

ROUNDING = 0.01
"""Tolerance in voxels, as positions are rounded to a thousandth of a mm."""

DECIMALS = ("R_mm", "A_mm", "S_mm", "confidence")
"""Columns of numbers with decimals."""

DELIMITERS = (";", "\t")
"""What may separate the cells in the place of commas."""

MORE = "\0"
"""Key of the cells of a row that have no column."""

REQUIRED = ("level_value", "R_mm", "A_mm", "S_mm")
"""Columns without which a CSV file cannot be read."""


def write_disc_csv(
    discs: Iterable[Disc], path: str | Path, *, affine: np.ndarray | None = None, numbering: Numbering = "sct"
) -> None:
    """Write discs as CSV, one row each, with positions to a thousandth of a mm.

    Args:
        discs: the discs.
        path: file to write.
        affine: affine of the image, for the voxel indices; without it, their cells stay empty.
        numbering: numbering of the values; the cell of a disc without a value stays empty. The CSV of
            ``"sct_template"`` has all values of ``"sct"``.
    """
    numbering = "sct" if numbering == "sct_template" else numbering
    with atomic_write(Path(path)) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for disc in discs:
            voxel = ("", "", "") if affine is None else nearest_voxel(disc, affine)
            confidence = "" if disc.confidence is None else f"{disc.confidence:.4f}"
            value, position = disc_value(disc.value, numbering), (f"{x:.3f}" for x in disc.position)
            writer.writerow(["" if value is None else value, disc.name, *position, *voxel, confidence])


def read_disc_csv(path: str | Path, *, affine: np.ndarray | None = None) -> list[Disc]:
    """Read the discs that :func:`write_disc_csv` wrote; only the columns of :data:`REQUIRED` are required.

    The name decides the level. Without a name, the value is a number of the Spinal Cord Toolbox. Cells may also be
    separated by semicolons or tabs, with decimal commas, as spreadsheets write them in many languages.

    Args:
        path: file to read.
        affine: affine of the image, to check that voxel and mm of every row agree; None for no check.

    Raises:
        DiscFileError: when the file cannot be read, lacks a column or has a row that is not a disc.
    """
    try:
        names, rows, delimiter = read_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DiscFileError(path, f"cannot be read ({error})", "check the path, or export it again") from error
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DiscFileError(
            path, f"lacks the columns {missing}, it has {names}", "add them, separated by commas, semicolons or tabs"
        )
    if delimiter != ",":
        rows = [row | {name: (row.get(name) or "").replace(",", ".") for name in DECIMALS} for row in rows]
    discs = [_disc_of_row(path, number, row, affine) for number, row in enumerate(rows, start=2)]
    return one_per_level(discs, source=path)


def read_rows(path: str | Path) -> tuple[list[str], list[dict[str, str]], str]:
    """Return the columns of a CSV, its rows, and what separates the cells: a comma, a semicolon or a tab.

    Raises:
        DiscFileError: when a row has more cells than there are columns.
    """
    with open(path, newline="", encoding="utf-8-sig") as stream:
        header = stream.readline()
        stream.seek(0)
        delimiter = next((mark for mark in DELIMITERS if mark in header), ",")
        reader = csv.DictReader(stream, restkey=MORE, delimiter=delimiter)
        names, rows = list(reader.fieldnames or []), list(reader)
    for line, row in enumerate(rows, start=2):
        if any(row.pop(MORE, ())):
            remedy = "quote cells with commas, or separate cells by semicolons"
            raise DiscFileError(path, f"line {line} has more cells than the first line", remedy)
    return names, rows, delimiter


def _disc_of_row(path: str | Path, line: int, row: Mapping[str, str], affine: np.ndarray | None) -> Disc:
    try:
        confidence = float(row["confidence"]) if row.get("confidence") else None
        position = point_of(np.array([row[name] for name in REQUIRED[1:]], dtype=np.float64))
        disc = Disc(_number(row["level_value"], row.get("level_name")), position, confidence)
        voxel = [_index(name, row[name]) for name in VOXEL if row.get(name)]
    except (TypeError, ValueError) as error:
        problem = f"line {line} is not a disc ({str(error).rstrip('.')})"
        remedy = "correct the line; for another level, change level_value and level_name, or clear one of them"
        raise DiscFileError(path, problem, remedy) from error
    if affine is not None and len(voxel) == len(VOXEL):
        _check_voxel(path, line, disc, voxel, affine)
    return disc


def _index(name: str, cell: str) -> int:
    """Return an index of a voxel; a spreadsheet may write 5 as 5.0."""
    try:
        number = float(cell.replace(",", "."))
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(f"{name} is {cell!r}, not the index of a voxel")
    return int(number)


def _number(value: str, name: str | None) -> int:
    """Return the number of the disc with a value and a name, in any numbering that agrees with the name."""
    if not name:
        return int(value)
    number = level_number(name)
    if value and int(value) not in {disc_value(number, numbering) for numbering in NUMBERINGS}:
        check_name(Disc(int(value), (0.0, 0.0, 0.0)), name)
    return number


def _check_voxel(path: str | Path, line: int, disc: Disc, voxel: Sequence[int], affine: np.ndarray) -> None:
    """Check that the indices of a row are those of the voxel that its position lies in."""
    expected = world_to_voxel(disc.position, affine)
    if (np.abs(expected - voxel) > 0.5 + ROUNDING).any():
        raise DiscFileError(
            path,
            f"line {line}: {disc.name} is in voxel {voxel}, but its R, A, S in mm are those of voxel "
            f"{list(nearest_voxel(disc, affine))}",
            "change the mm, and clear i, j, k or change them too",
        )
