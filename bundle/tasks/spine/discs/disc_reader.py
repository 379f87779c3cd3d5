"""Reading of disc points from files of every kind that is written."""

from __future__ import annotations

from pathlib import Path

from bundle.io.volume_files import NIFTI

from .disc_errors import DiscFileError
from .disc_label_map import read_label_map
from .disc_points import Disc, check_point
from .disc_tables import read_csv, read_json
from .markups import read_markups


def read_discs(path: str | Path, *, point: str = "posterior") -> list[Disc]:
    """Read discs from a label map (``.nii.gz``, ``.nii``), markups (``.mrk.json``), ``.json`` or ``.csv``.

    Args:
        path: the file.
        point: ``"posterior"`` for the posterior tips or ``"center"``; it matters for the JSON of the sample exams
            only, which has both.

    Returns:
        Discs in world mm, RAS+, sorted by number, none twice.

    Raises:
        DiscFileError: when the file cannot be used; it names file, problem and remedy.
        ValueError: when the point is unknown.
    """
    check_point(point)
    name = Path(path).name.lower()
    if name.endswith(NIFTI):
        return read_label_map(path)
    if name.endswith(".mrk.json"):
        return read_markups(path)
    if name.endswith(".json"):
        return read_json(path, point=point)
    if name.endswith(".csv"):
        return read_csv(path)
    raise DiscFileError(path, "is of no kind of file that holds discs", "use .nii.gz, .json, .mrk.json or .csv")
