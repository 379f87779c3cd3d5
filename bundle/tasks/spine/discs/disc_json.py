"""Discs as JSON files that state the frame and the unit of the positions.

Positions are world mm in RAS+, the frame of a NIfTI affine; voxels are the nearest indices in the image. The JSON files
of the sample exams can be read as well: they give disc centers as voxels and world mm, and some give posterior voxels.
The axes of these exams run to inferior, to posterior and to the right, and the files have no affine: a posterior voxel
gets its world position from its distance to the center in voxels and the voxel size.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundle.utils.write_json import write_json

from .disc_errors import DiscFileError
from .disc_label_map import nearest_voxel
from .disc_points import Disc, DiscPoint, check_name, one_per_level, point_of

EXAM_KEYS = {"value", "voxel", "world_mm"}
"""Keys of every disc of a sample exam."""


def write_disc_json(
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
        image: the image of the discs.
        affine: affine of the image, for the voxel indices; None omits these.
        extrapolated: numbers of the discs to flag as extrapolated, see
            :func:`bundle.tasks.spine.discs.disc_below`.
    """
    write_json(path, describe_discs(discs, image=image, affine=affine, extrapolated=extrapolated))


def describe_discs(
    discs: Iterable[Disc],
    *,
    image: str | Path = "",
    affine: np.ndarray | None = None,
    extrapolated: Collection[int] = (),
) -> dict[str, Any]:
    """Return what :func:`write_disc_json` writes; :func:`read_disc_json` ignores further keys."""
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


def read_disc_json(path: str | Path, *, point: DiscPoint = "posterior") -> list[Disc]:
    """Read the discs of a JSON file that :func:`write_disc_json` wrote, or of a sample exam.

    Args:
        path: file to read.
        point: ``"posterior"`` or ``"center"``, where a file has both.

    Raises:
        DiscFileError: when the file cannot be read, is in another frame or unit, or has an entry that is not a disc.
    """
    content = read_json_object(path)
    if _is_exam(content):
        return one_per_level(_read_exam(content, path, point), source=path)
    if content.get("frame") != "RAS" or content.get("unit") != "mm" or not isinstance(content.get("discs"), list):
        raise DiscFileError(
            path,
            f"is not a list of discs in RAS mm: frame {content.get('frame')!r}, unit {content.get('unit')!r}",
            'give it "frame": "RAS", "unit": "mm" and "discs": [{"value": 3, "position": [R, A, S]}, ...]',
        )
    return one_per_level((_disc_of_entry(path, entry) for entry in content["discs"]), source=path)


def extrapolated_discs(path: str | Path) -> set[int]:
    """Return the numbers of the discs that a file of discs, read before, flags as extrapolated; only JSON can."""
    path = Path(path)
    if path.suffix.lower() != ".json":
        return set()
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    discs = content.get("discs", []) if isinstance(content, dict) else []
    return {int(disc["value"]) for disc in discs if disc.get("extrapolated")}


def read_json_object(path: str | Path) -> dict[str, Any]:
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


def _disc_of_entry(path: str | Path, entry: Any) -> Disc:
    try:
        position = point_of(np.array(entry["position"], dtype=np.float64))
        return check_name(Disc(entry["value"], position, entry.get("confidence")), entry.get("name"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"the entry {entry} is not a disc ({str(error).rstrip('.')})"
        raise DiscFileError(path, problem, "correct the entry") from error


def _is_exam(content: Mapping[str, Any]) -> bool:
    """Return whether the content of a JSON file is that of a sample exam."""
    discs = content.get("discs")
    if "spacing_mm" not in content or not isinstance(discs, list):
        return False
    return all(isinstance(disc, dict) and disc.keys() >= EXAM_KEYS for disc in discs)


def _read_exam(content: Mapping[str, Any], path: str | Path, point: DiscPoint) -> list[Disc]:
    """Return the discs of a sample exam; its voxels and world positions must agree."""
    try:
        axes = _exam_axes(content["spacing_mm"])
        pairs = [(np.array(disc["voxel"], float), np.array(disc["world_mm"], float)) for disc in content["discs"]]
        starts = [world - axes @ voxel for voxel, world in pairs]
        if starts and not np.allclose(starts, starts[0], atol=0.5):
            raise ValueError("voxels and world positions do not agree")
        centers = [world for _, world in pairs]
        entries = zip(content["discs"], centers, strict=True)
        return [_disc_of_exam(disc, center, axes, path, point) for disc, center in entries]
    except DiscFileError:
        raise
    except (TypeError, ValueError) as error:
        problem = f"holds discs that cannot be used ({str(error).rstrip('.')})"
        raise DiscFileError(path, problem, "correct it") from error


def _exam_axes(spacing: Any) -> np.ndarray:
    """Return the matrix from voxels to world mm of axes that run to inferior, to posterior and to the right."""
    down, back, right = (float(size) for size in spacing)
    return np.array([[0.0, 0.0, right], [0.0, -back, 0.0], [-down, 0.0, 0.0]])


def _disc_of_exam(
    disc: Mapping[str, Any], center: np.ndarray, axes: np.ndarray, path: str | Path, point: DiscPoint
) -> Disc:
    if point == "center":
        return Disc(disc["value"], point_of(center))
    if "posterior_voxel" not in disc:
        raise DiscFileError(
            path,
            f"has no posterior voxel for disc {disc['value']}, only its center",
            'read it with point="center", or derive tips from the masks: python -m bundle prepare spine-exams',
        )
    steps = np.array(disc["posterior_voxel"], float) - np.array(disc["voxel"], float)
    return Disc(disc["value"], point_of(center + axes @ steps))
