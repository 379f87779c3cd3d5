"""Discs as points of interest of TPTBox, the format of VerSe and SPINEPS (``_poi.json``, ``_ctd.json``).

A file is a list: first the grid (axis codes, voxel size, rotation and origin of the affine, RAS+), then the points in
voxels of that grid, by region and subregion. A disc has the number of the vertebra above as its region, L5 for L5-S1,
and the subregion 100. A point is saved as ``{region: {subregion: [i, j, k]}}``, or, in the older form, as
``{"label": 256 * subregion + region, "X": i, "Y": j, "Z": k}``. Format: TPTBox, ``core/poi_fun/save_load.py``.

The subregion 100 of TPTBox is the center of a disc. The files of this bundle have posterior tips there, and say so in
their first entry: ``"point": "posterior"``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

from bundle.utils.write_json import write_json

from .disc_errors import DiscFileError
from .disc_label_map import world_to_voxel
from .disc_points import Disc, DiscPoint, check_point, one_per_level, point_of
from .levels import VERSE, disc_numbers, disc_value, level_name

logger = logging.getLogger(__name__)

DISC = 100
"""Subregion of a disc, and its value in a mask less the number of the vertebra above."""

LABEL_STEP = 256
"""Factor of the subregion in a ``label`` of the older form."""

SIGNS = {"nib": (1.0, 1.0, 1.0), "itk": (-1.0, -1.0, 1.0)}
"""Factors from the coordinate system of a file of world coordinates to RAS+."""

POINT = "point"
"""Key of the first entry that says which point of a disc the file has: ``"posterior"``; the center without it."""

SIXTH_OR_THIRTEENTH = (25, 28)
"""Regions of L6 and T13; any point of theirs shows which disc is above them."""

REGIONS = {level_name(number).split("-")[0]: value - DISC for number, value in VERSE.items()} | {"L6": 25, "T13": 28}
"""Number of the vertebra above a disc by its name."""


def write_disc_pois(discs: Iterable[Disc], path: str | Path, *, affine: np.ndarray, shape: Sequence[int]) -> None:
    """Write discs as points of interest of TPTBox, in voxels of an image.

    Args:
        discs: the discs, by their posterior tips.
        path: file to write, ``.json``.
        affine: affine of the image.
        shape: shape of the image.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    zoom = np.linalg.norm(matrix[:3, :3], axis=0)
    names = {region: name for name, region in REGIONS.items()}
    points = {
        names[value - DISC]: {str(DISC): world_to_voxel(disc.position, matrix).round(4).tolist()}
        for disc in discs
        if (value := disc_value(disc.value, "verse")) is not None
    }
    grid = {
        "direction": list(aff2axcodes(matrix)),
        "zoom": zoom.tolist(),
        "origin": matrix[:3, 3].tolist(),
        "rotation": (matrix[:3, :3] / zoom).tolist(),
        "shape": list(shape),
        "format": "POI",
        "level_one_info": "Vertebra_Instance",
        "level_two_info": "Location",
        POINT: "posterior",
    }
    write_json(path, [grid, points])


def read_disc_pois(path: str | Path, *, point: DiscPoint = "posterior", affine: np.ndarray | None = None) -> list[Disc]:
    """Read the discs among points of interest of TPTBox; other points are skipped.

    Args:
        path: file to read.
        point: ``"posterior"`` for the posterior tips, which only files of this bundle have; ``"center"`` for the points
            of any file.
        affine: affine of the image, for a file without rotation and origin, whose axes must be those of the image.

    Raises:
        DiscFileError: when the file cannot be read, has centers instead of posterior tips, does not state its grid, or
            holds no disc or one without a number.
        ValueError: when the point is unknown.
    """
    check_point(point)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        header, places = content[0], list(_places(content))
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        problem = f"is not a list of points of interest ({error})"
        raise DiscFileError(path, problem, "save the points with TPTBox, or as CSV or .mrk.json") from error
    found = [(region, place) for region, subregion, place in places if subregion == DISC]
    shown = [region for region, subregion, _ in places if subregion == DISC or region in SIXTH_OR_THIRTEENTH]
    numbers = disc_numbers([region + DISC for region in shown], "verse")
    unknown = sorted(value - DISC for value, number in numbers.items() if number is None)
    if unknown or not found:
        problem = f"holds discs below the vertebrae {unknown}, which are unknown" if found else "holds no disc"
        remedy = f"a disc is the subregion {DISC} of the vertebra above it; correct or add them"
        raise DiscFileError(path, problem, remedy)
    logger.info("%s: %d discs of %d points.", path, len(found), len(places))
    try:
        if point == "posterior":
            _check_tips(path, header)
        matrix = _affine(path, header, affine)
        discs = [
            Disc(number, point_of(matrix[:3, :3] @ place + matrix[:3, 3]))
            for region, place in found
            if (number := numbers[region + DISC]) is not None
        ]
    except DiscFileError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        problem = f"has a first entry, or points, from which no place follows ({str(error).rstrip('.')})"
        raise DiscFileError(path, problem, "save it again with TPTBox") from error
    return one_per_level(discs, source=path)


def _check_tips(path: str | Path, header: Mapping[str, Any]) -> None:
    """Check that the points of the discs are their posterior tips."""
    if header.get(POINT) != "posterior":
        raise DiscFileError(
            path,
            "has the centers of discs (subregion 100 of TPTBox), not their posterior tips",
            "derive the tips from the mask of the discs (python -m bundle prepare spine-exams --numbering verse), or, "
            f'if the points are tips, add "{POINT}": "posterior" to the first entry of the file',
        )


def is_own_pois(path: str | Path) -> bool:
    """Return whether a file holds points of interest that this bundle wrote: those of discs, by posterior tips."""
    try:
        header = json.loads(Path(path).read_text(encoding="utf-8-sig"))[0]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return False
    return isinstance(header, dict) and header.get(POINT) == "posterior"


def is_json_list(path: str | Path) -> bool:
    """Return whether a file is a JSON list, as that of points of interest; False if it cannot be read."""
    try:
        return isinstance(json.loads(Path(path).read_text(encoding="utf-8-sig")), list)
    except (OSError, ValueError):
        return False


def _places(content: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield region, subregion and coordinates of all points."""
    for entry in content[1:]:
        if "label" in entry:
            subregion, region = divmod(int(entry["label"]), LABEL_STEP)
            yield region, subregion, np.array([float(entry[axis]) for axis in "XYZ"])
            continue
        for region_name, subregions in entry.items():
            region = REGIONS.get(region_name) or (int(region_name) if region_name.isdigit() else 0)
            for name, place in subregions.items():
                subregion = DISC if name == "Vertebra_Disc" else int(name) if name.isdigit() else 0
                yield region, subregion, np.array(place, dtype=np.float64).reshape(3)


def _affine(path: str | Path, header: Mapping[str, Any], image: np.ndarray | None) -> np.ndarray:
    """Return the affine from the coordinates of a file to RAS+."""
    matrix = np.eye(4)
    if header.get("format") == "POI_GLOBAL":
        matrix[:3, :3] = np.diag(SIGNS["itk" if header.get("coordinate_system") == "itk" else "nib"])
        return matrix
    if all(header.get(key) is not None for key in ("rotation", "zoom", "origin")):
        matrix[:3, :3] = np.array(header["rotation"], dtype=np.float64) @ np.diag(header["zoom"])
        matrix[:3, 3] = header["origin"]
        return matrix
    direction = tuple(header.get("direction", ()))
    if image is not None and direction == aff2axcodes(image):
        return np.asarray(image, dtype=np.float64)
    raise DiscFileError(
        path,
        f"has voxels along {''.join(map(str, direction)) or 'unknown axes'} without rotation and origin",
        "save it again with a current version of TPTBox, or use it with an image of the same axes",
    )
