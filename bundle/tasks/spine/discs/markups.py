"""Discs as markups of 3D Slicer (``.mrk.json``).

The frame of Slicer is LPS; the file always states its frame, as the default of the format has changed over time.
Format: developer guide of Slicer, module Markups, schema 1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bundle.utils.check_choice import check_choice
from bundle.utils.write_json import write_json

from .disc_errors import DiscFileError
from .disc_json import read_json_object
from .disc_points import Disc, one_per_level, point_of
from .levels import level_number

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.0.json#"
)

CoordinateSystem = Literal["LPS", "RAS"]

SIGNS = {"LPS": np.array([-1.0, -1.0, 1.0]), "RAS": np.array([1.0, 1.0, 1.0])}
"""Factors between a frame and RAS+, the same in both directions."""

_CONFIDENCE = re.compile(r"confidence ([0-9.]+)")


def write_markups(discs: Iterable[Disc], path: str | Path, *, coordinate_system: CoordinateSystem = "LPS") -> None:
    """Write discs as a list of points for 3D Slicer, named by level, with number and confidence as description.

    Args:
        discs: the discs.
        path: file to write, ``.mrk.json``.
        coordinate_system: ``"LPS"`` or ``"RAS"``, the frame of the positions in the file.

    Raises:
        ValueError: when the coordinate system is another.
    """
    check_choice("coordinate_system", coordinate_system, SIGNS)
    signs = SIGNS[coordinate_system]
    points = [
        {
            "id": str(number),
            "label": disc.name,
            "description": _describe(disc),
            "position": (signs * disc.position).tolist(),
            "positionStatus": "defined",
        }
        for number, disc in enumerate(discs, start=1)
    ]
    node = {
        "type": "Fiducial",
        "coordinateSystem": coordinate_system,
        "coordinateUnits": "mm",
        "controlPoints": points,
    }
    write_json(path, {"@schema": SCHEMA, "markups": [node]})


def read_markups(path: str | Path) -> list[Disc]:
    """Read discs from markups of 3D Slicer, by the names of the points; points that were not placed are skipped.

    Raises:
        DiscFileError: when the file cannot be read or holds no markups, its coordinate system is neither LPS nor RAS,
            or a point has not the name of a disc.
    """
    content = read_json_object(path)
    nodes = content.get("markups")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise DiscFileError(path, "holds no markups", "save the points in 3D Slicer as .mrk.json")
    return one_per_level((disc for node in nodes for disc in _discs_of(path, node)), source=path)


def _describe(disc: Disc) -> str:
    return f"value {disc.value}" + ("" if disc.confidence is None else f", confidence {disc.confidence:.4f}")


def _discs_of(path: str | Path, node: Mapping[str, Any]) -> list[Disc]:
    system = node.get("coordinateSystem", "LPS")
    if not isinstance(system, str) or system not in SIGNS:
        raise DiscFileError(path, f"has the coordinate system {system!r}", "save it in LPS or RAS")
    points = node.get("controlPoints", [])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise DiscFileError(path, "has control points that are no objects", "save the points again in 3D Slicer")
    return [_disc_of(path, point, SIGNS[system]) for point in points if _is_placed(point)]


def _is_placed(point: Mapping[str, Any]) -> bool:
    return point.get("positionStatus", "defined") == "defined"


def _disc_of(path: str | Path, point: Mapping[str, Any], signs: np.ndarray) -> Disc:
    confidence = _CONFIDENCE.search(str(point.get("description", "")))
    try:
        position = point_of(signs * np.array(point["position"], dtype=np.float64))
        return Disc(level_number(point["label"]), position, float(confidence[1]) if confidence else None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DiscFileError(
            path,
            f"the point {point.get('label')!r} is not a disc ({str(error).rstrip('.')})",
            "name it by its level in 3D Slicer, such as C2-C3, or delete it",
        ) from error
