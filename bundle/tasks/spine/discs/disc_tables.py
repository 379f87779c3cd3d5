"""Discs as tables: CSV, and JSON that says in which frame and unit the positions are.

Positions are world mm in RAS+, the frame of a NIfTI affine; voxels are the indices nearest to them in the image.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json as write_json_file

from .disc_errors import DiscFileError
from .disc_label_map import nearest_voxel
from .disc_points import Disc, one_per_level, point_of
from .exam_json import is_exam, read_exam
from .levels import level_number

COLUMNS = ("level_value", "level_name", "R_mm", "A_mm", "S_mm", "i", "j", "k", "confidence")
"""Columns of a CSV file."""

NEEDED = ("level_value", "R_mm", "A_mm", "S_mm")
"""Columns without which a CSV file cannot be read."""


def write_csv(discs: Iterable[Disc], path: str | Path, *, affine: np.ndarray | None = None) -> None:
    """Write discs as CSV, a row each, positions to the thousandth of a mm.

    Args:
        discs: the discs.
        path: file to write.
        affine: of the image, for the voxels; without it their cells stay empty.
    """
    with atomic_write(Path(path)) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for disc in discs:
            voxel = ("", "", "") if affine is None else nearest_voxel(disc, affine)
            confidence = "" if disc.confidence is None else f"{disc.confidence:.4f}"
            writer.writerow([disc.value, disc.name, *(f"{x:.3f}" for x in disc.position), *voxel, confidence])


def read_csv(path: str | Path) -> list[Disc]:
    """Read the discs that :func:`write_csv` wrote; only the columns of :data:`NEEDED` must be there.

    Raises:
        DiscFileError: when the file cannot be read, lacks a column or has a row that is no disc.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DiscFileError(path, f"cannot be read ({error})", "check the path, or export it again") from error
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DiscFileError(path, f"has no columns {missing} but {names}", "name them so and separate them by commas")
    discs = [_disc_of_row(path, number, row) for number, row in enumerate(rows, start=2)]
    return one_per_level(discs, source=path)


def write_json(
    discs: Iterable[Disc],
    path: str | Path,
    *,
    image: str | Path = "",
    affine: np.ndarray | None = None,
    extrapolated: Collection[int] = (),
) -> None:
    """Write discs as JSON with their frame, unit and image.

    Args:
        discs: the discs.
        path: file to write.
        image: the image that they belong to.
        affine: of the image, for the voxels; without it they are left out.
        extrapolated: numbers of the discs to mark as guessed, see :func:`bundle.tasks.spine.discs.disc_below`.
    """
    write_json_file(path, json_content(discs, image=image, affine=affine, extrapolated=extrapolated))


def json_content(
    discs: Iterable[Disc],
    *,
    image: str | Path = "",
    affine: np.ndarray | None = None,
    extrapolated: Collection[int] = (),
) -> dict[str, Any]:
    """Return what :func:`write_json` writes; more keys may be added, which :func:`read_json` passes over."""
    entries = []
    for disc in discs:
        entry: dict[str, Any] = {"value": disc.value, "name": disc.name, "position": list(disc.position)}
        if affine is not None:
            entry["voxel"] = list(nearest_voxel(disc, affine))
        entry["confidence"] = disc.confidence
        if disc.value in extrapolated:
            entry["extrapolated"] = True
        entries.append(entry)
    return {"frame": "RAS", "unit": "mm", "image": str(image), "discs": entries}


def read_json(path: str | Path, *, point: str = "posterior") -> list[Disc]:
    """Read discs from JSON, either of :func:`write_json` or of an exam (:mod:`bundle.tasks.spine.discs.exam_json`).

    Args:
        path: file to read.
        point: ``"posterior"`` or ``"center"``, where a file has both.

    Raises:
        DiscFileError: when the file cannot be read, is in another frame or unit, or has an entry that is no disc.
    """
    content = load_json(path)
    if is_exam(content):
        return one_per_level(read_exam(content, path, point), source=path)
    if content.get("frame") != "RAS" or content.get("unit") != "mm" or not isinstance(content.get("discs"), list):
        raise DiscFileError(
            path,
            f"is no list of discs in RAS mm: frame {content.get('frame')!r}, unit {content.get('unit')!r}",
            'give it "frame": "RAS", "unit": "mm" and "discs": [{"value": 3, "position": [R, A, S]}, ...]',
        )
    return one_per_level((_disc_of_entry(path, entry) for entry in content["discs"]), source=path)


def load_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DiscFileError: when the file cannot be read or holds something else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DiscFileError(path, f"cannot be read as JSON ({error})", "check the path, or export it again") from error
    if not isinstance(content, dict):
        raise DiscFileError(path, f"holds a {type(content).__name__}, not an object", "export it again")
    return content


def _disc_of_row(path: str | Path, number: int, row: Mapping[str, str]) -> Disc:
    try:
        confidence = float(row["confidence"]) if row.get("confidence") else None
        position = point_of(np.array([row[name] for name in NEEDED[1:]], dtype=np.float64))
        return _named(Disc(int(row["level_value"]), position, confidence), row.get("level_name"))
    except (TypeError, ValueError) as error:
        raise DiscFileError(path, f"line {number} is no disc ({_bare(error)})", "correct the line") from error


def _disc_of_entry(path: str | Path, entry: Any) -> Disc:
    try:
        position = point_of(np.array(entry["position"], dtype=np.float64))
        return _named(Disc(entry["value"], position, entry.get("confidence")), entry.get("name"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DiscFileError(path, f"the entry {entry} is no disc ({_bare(error)})", "correct the entry") from error


def _named(disc: Disc, name: str | None) -> Disc:
    """Check the name that stands beside a number: a reader must not have to guess which of them is meant."""
    if name and level_number(name) != disc.value:
        raise ValueError(f"number {disc.value} is {disc.name}, not {name}")
    return disc


def _bare(error: Exception) -> str:
    return str(error).rstrip(".")
