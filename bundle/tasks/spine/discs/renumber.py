"""Renumbering of the discs of a file, in its own format; positions and all other content stay."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.io.volume_files import NIFTI
from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

from .disc_csv import read_rows
from .disc_errors import DiscFileError
from .disc_json import read_json_object
from .disc_label_map import check_sidecar, has_sidecar, numbering_of, sidecar_of, write_sidecar
from .disc_reader import read_discs
from .levels import (
    FIRST_LEVEL,
    LAST_LEVEL,
    NUMBERINGS,
    Numbering,
    disc_numbers,
    disc_value,
    level_name,
    level_number,
    level_order,
    levels_with,
)

KINDS = (".mrk.json", ".json", ".csv")
"""Ends of the names of files of discs other than label maps."""


def renumber_discs(
    path: str | Path,
    output: str | Path,
    *,
    by: int = 0,
    first: int = FIRST_LEVEL,
    last: int = LAST_LEVEL,
    vertebrae: Mapping[str, int] | None = None,
) -> dict[int, int]:
    """Move the discs from ``first`` to ``last`` by a number of levels, and write the file.

    In a spine with L6, L5-L6 and L6-S1 follow L4-L5; in one with T13, T12-T13 and T13-L1 follow T11-T12.

    Args:
        path: CSV, JSON, markups of 3D Slicer or label map of discs.
        output: file to write, of the same kind; it may be the same file, or replace another one of discs, but not the
            record of another case.
        by: number of levels, negative for further up.
        first: smallest number to change, of the Spinal Cord Toolbox (3 is C2-C3).
        last: largest number to change; L5-L6 counts as 24, and T12-T13 as 19.
        vertebrae: number of ``thoracic`` (12, 13) and ``lumbar`` vertebrae (5, 6) of the spine; None for those that the
            file has. The discs above L1 and S1 keep their place and get their name in this spine.

    Returns:
        The new number of every disc by its old one.

    Raises:
        DiscFileError: when the file cannot be used, its discs would no longer be in order, a number or its value in the
            numbering of the file does not exist, or the output is of another kind, or would replace another file.

    Examples:
        >>> import tempfile
        >>> from bundle.tasks.spine.discs import Disc, write_disc_csv
        >>> file = Path(tempfile.mkdtemp(), "discs.csv")
        >>> write_disc_csv([Disc(21, (0, 0, 30)), Disc(22, (0, 0, 0))], file)
        >>> renumber_discs(file, file, by=1, first=22)
        {21: 21, 22: 23}
    """
    source, target = Path(path), Path(output)
    numbers = [disc.value for disc in read_discs(source)]
    counts = {"thoracic": 12 + bool({195, 205} & {*numbers}), "lumbar": 5 + bool({245, 255} & {*numbers})}
    sequence = levels_with(**(counts | dict(vertebrae or {})))
    places = [level_order(number) for number in sequence]
    new: dict[int, int] = {}
    for number in numbers:
        steps = by if first <= math.floor(level_order(number)) <= last else 0
        if level_order(number) not in places:
            problem = f"has {level_name(number)}, which this spine has not"
            raise DiscFileError(source, problem, "remove the disc, or state other numbers of vertebrae")
        place = places.index(level_order(number)) + steps
        if not 0 <= place < len(sequence):
            problem = f"would have a disc {abs(steps)} levels beyond {level_name(number)}, which does not exist"
            raise DiscFileError(source, problem, "choose another range")
        new[number] = sequence[place]
    if any(level_order(lower) <= level_order(upper) for upper, lower in pairwise(new.values())):
        names = ", ".join(f"{level_name(old)} to {level_name(new[old])}" for old in numbers if new[old] != old)
        raise DiscFileError(source, f"its discs would be out of order ({names})", "choose another range")
    _check_target(source, target)
    _writer_of(source)(source, target, new)
    return new


def _check_target(source: Path, target: Path) -> None:
    """Check that a target has the kind of its source, and replaces no file but one of discs."""
    if _kind_of(target) != _kind_of(source):
        raise DiscFileError(target, f"is not of the kind of {source.name}", "use the same ending, or discs convert")
    if not target.exists() or target.samefile(source):
        return
    try:
        read_discs(target)
    except DiscFileError as error:
        raise DiscFileError(target, "is no file of discs and is kept", "write another file") from error
    if _kind_of(target) == ".json" and "case" in read_json_object(target):
        raise DiscFileError(target, "is the record of a case, which is kept", "write another file")


def _kind_of(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(NIFTI) else next((kind for kind in KINDS if name.endswith(kind)), "")


def _writer_of(path: Path) -> Callable[[Path, Path, Mapping[int, int]], None]:
    name = path.name.lower()
    if name.endswith(NIFTI):
        return _renumber_label_map
    if name.endswith(".mrk.json"):
        return _renumber_markups
    return _renumber_csv if name.endswith(".csv") else _renumber_json


def _renumber_csv(source: Path, target: Path, new: Mapping[int, int]) -> None:
    columns, rows, delimiter = read_rows(source)
    for row in rows:
        name, value = row.get("level_name"), row["level_value"]
        old = level_number(name) if name else int(value)
        if value:
            row["level_value"] = str(_value(source, old, new[old], int(value), is_named=bool(name)))
        if name:
            row["level_name"] = level_name(new[old])
    with atomic_write(target) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def _renumber_json(source: Path, target: Path, new: Mapping[int, int]) -> None:
    """Renumber a JSON of this bundle; one of another form is refused by a missing ``discs``."""
    try:
        content = read_json_object(source)
        entries: list[dict[str, Any]] = content["discs"]
        for entry in entries:
            entry["value"] = new[entry["value"]]
            if entry.get("name"):
                entry["name"] = level_name(entry["value"])
    except (DiscFileError, KeyError) as error:
        raise DiscFileError(source, "has no form that can be renumbered", "renumber its CSV instead") from error
    write_json(target, content)


def _renumber_markups(source: Path, target: Path, new: Mapping[int, int]) -> None:
    content = json.loads(source.read_text(encoding="utf-8-sig"))
    for point in [point for node in content["markups"] for point in node.get("controlPoints", [])]:
        if point.get("positionStatus", "defined") == "defined":
            number = new[level_number(point["label"])]
            point["label"] = level_name(number)
            point["description"] = re.sub(r"value \d+", f"value {number}", str(point.get("description", "")))
    write_json(target, content)


def _renumber_label_map(source: Path, target: Path, new: Mapping[int, int]) -> None:
    """Renumber a label map; its sidecar is copied to another target.

    Values that are no discs stay, in a type that holds them.
    """
    numbering = numbering_of(source)
    is_other = sidecar_of(target).resolve() != sidecar_of(source).resolve()
    if is_other:
        check_sidecar(target)
    image: Any = nib.load(source)
    stored = np.rint(np.asanyarray(image.dataobj)).astype(np.int64)
    voxels = stored.copy()
    values = np.unique(stored[stored != 0]).tolist()
    for value, old in disc_numbers(values, numbering).items():
        if old is not None:
            voxels[stored == value] = _value(source, old, new[old], value, numbering)
    dtype = np.result_type(*(np.min_scalar_type(int(extreme)) for extreme in (voxels.min(), voxels.max())))
    header = image.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    with atomic_write(target) as file:
        nib.save(type(image)(voxels.astype(dtype), None, header), file)
    if is_other and has_sidecar(source):
        shutil.copyfile(sidecar_of(source), sidecar_of(target))
    elif is_other and has_sidecar(target):
        write_sidecar(target, numbering=numbering)


def _value(
    source: Path, old: int, new: int, value: int, numbering: Numbering | None = None, *, is_named: bool = False
) -> int | str:
    """Return the value of a new number in the numbering in which the old one has its value.

    A disc that has a name may have none, as in a CSV that was written. A value such as 245, of no numbering, is the
    number itself.
    """
    numberings = [numbering] if numbering else [name for name in NUMBERINGS if disc_value(old, name) == value]
    if not numberings:
        return new
    found = disc_value(new, numberings[0])
    if found is None and is_named:
        return ""
    if found is None:
        problem = f"{level_name(new)} has no value in the numbering {numberings[0]}"
        raise DiscFileError(source, problem, "choose another range")
    return found
