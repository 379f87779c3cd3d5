"""Conversion of a file of discs into another format, such as a corrected CSV into the label map for other tools."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bundle.io.length_units import nifti_affine
from bundle.io.volume_files import NIFTI

from .disc_csv import write_disc_csv
from .disc_errors import DiscFileError
from .disc_json import extrapolated_discs, read_json_object, write_disc_json
from .disc_label_map import check_sidecar, is_on_grid, open_grid, write_label_map, write_sidecar
from .disc_points import Disc, out_of_order
from .disc_pois import is_own_pois, write_disc_pois
from .disc_reader import read_discs
from .levels import Numbering, disc_value
from .markups import write_markups

logger = logging.getLogger(__name__)

POIS = ("_poi.json", "_ctd.json")
"""Ends of the names of points of interest of TPTBox."""


class _Grid(NamedTuple):
    """The image of the discs, with its size and affine in mm."""

    image: str | Path
    shape: Sequence[int]
    affine: np.ndarray


def convert_discs(
    path: str | Path, target: str | Path, *, image: str | Path | None = None, numbering: Numbering = "sct"
) -> list[Disc]:
    """Read discs from a file of any format, and write them in the format of another file.

    Extrapolated discs are left out with a warning, unless the target is JSON, which flags them.

    Args:
        path: file to read, see :func:`.disc_reader.read_discs`.
        target: file to write: label map (``.nii.gz``, ``.nii``), ``.csv``, ``.mrk.json``, points of interest of TPTBox
            (``_poi.json``) or ``.json``.
        image: NIfTI image of the discs; needed for a label map and points of interest, and for the voxels of a CSV.
        numbering: numbering of the values in a label map and a CSV.

    Returns:
        The discs that the target has no value for.

    Raises:
        DiscFileError: when a file cannot be used, discs are out of order or outside of the image, an image that is
            needed is missing, or the target is the image or would replace another file.
    """
    file = Path(target)
    if image is not None and file.exists() and Path(image).exists() and file.samefile(image):
        raise DiscFileError(file, "is the image, which is kept", "write another file")
    grid = None if image is None else _grid_of(image)
    discs = read_discs(path, affine=None if grid is None else grid.affine)
    _check(path, discs, grid)
    extrapolated = extrapolated_discs(path)
    names = ", ".join(disc.name for disc in discs if disc.value in extrapolated)
    if not _is_json(file.name.lower()) and names:
        logger.warning("%s: %s is extrapolated and left out; only a .json says so.", path, names)
        discs = [disc for disc in discs if disc.value not in extrapolated]
    return _write(discs, file, grid, numbering, extrapolated)


def _grid_of(image: str | Path) -> _Grid:
    opened = open_grid(image)
    return _Grid(image, opened.shape[:3], nifti_affine(opened))


def _is_json(name: str) -> bool:
    """Return whether a name is that of a JSON of this bundle."""
    return name.endswith(".json") and not name.endswith((".mrk.json", *POIS))


def _check(path: str | Path, discs: Sequence[Disc], grid: _Grid | None) -> None:
    """Check that discs run from head to foot, and lie in their image."""
    wrong = out_of_order(discs)
    if wrong:
        raise DiscFileError(path, f"has {', '.join(wrong)}", "correct the levels or the points")
    if grid is None:
        return
    outside = [disc.name for disc in discs if not is_on_grid(disc, grid.shape, grid.affine)]
    if outside:
        problem = f"{', '.join(outside)} lie outside of the image {grid.image}"
        raise DiscFileError(path, problem, "correct the points, or name their image")


def _write(
    discs: list[Disc], file: Path, grid: _Grid | None, numbering: Numbering, extrapolated: set[int]
) -> list[Disc]:
    """Write discs in the format of a file; return those that it has no value for."""
    name, affine = file.name.lower(), None if grid is None else grid.affine
    if name.endswith(NIFTI):
        return _write_label_map(discs, file, grid, numbering)
    if name.endswith(POIS):
        return _write_pois(discs, file, grid)
    if name.endswith(".csv"):
        write_disc_csv(discs, file, affine=affine, numbering=numbering)
    elif name.endswith(".mrk.json"):
        write_markups(discs, file)
    elif name.endswith(".json"):
        if file.exists() and "case" in read_json_object(file):
            raise DiscFileError(file, "is the record of a case, which is kept", "write another file")
        image = "" if grid is None else grid.image
        write_disc_json(discs, file, image=image, affine=affine, extrapolated=extrapolated)
    else:
        raise DiscFileError(file, "is no format of discs", "use .nii.gz, .json, .mrk.json, _poi.json or .csv")
    return []


def _write_label_map(discs: list[Disc], file: Path, grid: _Grid | None, numbering: Numbering) -> list[Disc]:
    if grid is None:
        raise DiscFileError(file, "is a label map, which has the grid of an image", "name it with --image")
    check_sidecar(file)
    valued = [disc for disc in discs if disc_value(disc.value, numbering) is not None]
    write_label_map(valued, file, grid.image, numbering=numbering)
    write_sidecar(file, numbering=numbering)
    return [disc for disc in discs if disc not in valued]


def _write_pois(discs: list[Disc], file: Path, grid: _Grid | None) -> list[Disc]:
    if grid is None:
        raise DiscFileError(file, "has points in voxels of an image", "name it with --image")
    if file.exists() and not is_own_pois(file):
        raise DiscFileError(file, "was not written by this bundle and is kept", "write another file")
    write_disc_pois(discs, file, affine=grid.affine, shape=grid.shape)
    return [disc for disc in discs if disc_value(disc.value, "verse") is None]
