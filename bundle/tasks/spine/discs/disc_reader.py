"""Reading of disc points from any of the file formats that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundle.io.volume_files import NIFTI

from .disc_csv import read_disc_csv
from .disc_errors import DiscFileError
from .disc_json import read_disc_json
from .disc_label_map import read_label_map
from .disc_points import Disc, DiscPoint, check_point
from .disc_pois import is_json_list, read_disc_pois
from .levels import check_variants
from .markups import read_markups


def read_discs(path: str | Path, *, point: DiscPoint = "posterior", affine: np.ndarray | None = None) -> list[Disc]:
    """Read discs from a label map (``.nii.gz``, ``.nii``), markups (``.mrk.json``), ``.json`` or ``.csv``.

    A ``.json`` may also be a file of points of interest of TPTBox (:mod:`.disc_pois`), whose points are centers unless
    this bundle wrote it.

    Args:
        path: the file.
        point: ``"posterior"`` for the posterior tips or ``"center"``; only the JSON of the sample exams has both.
        affine: affine of the image, to check that voxels and mm in a CSV agree, and for points of interest in voxels
            without a grid; None if unknown.

    Returns:
        Discs in world mm, RAS+, sorted by number, one per number.

    Raises:
        DiscFileError: when the file cannot be used.
        ValueError: when the point is unknown.
    """
    discs = _read(path, point, affine)
    try:
        check_variants(disc.value for disc in discs)
    except ValueError as error:
        raise DiscFileError(path, f"holds discs of two kinds of spines ({error})", "correct the levels") from error
    return discs


def _read(path: str | Path, point: DiscPoint, affine: np.ndarray | None) -> list[Disc]:
    check_point(point)
    name = Path(path).name.lower()
    if name.endswith(NIFTI):
        return read_label_map(path)
    if name.endswith(".mrk.json"):
        return read_markups(path)
    if name.endswith(".json"):
        is_list = is_json_list(path)
        return read_disc_pois(path, point=point, affine=affine) if is_list else read_disc_json(path, point=point)
    if name.endswith(".csv"):
        return read_disc_csv(path, affine=affine)
    raise DiscFileError(path, "is not a file of discs", "use .nii.gz, .json, .mrk.json or .csv")
