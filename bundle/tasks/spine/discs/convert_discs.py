"""Conversion of a file of discs into another format, such as a corrected CSV into the label map for other tools."""

from __future__ import annotations

from pathlib import Path

from bundle.io.length_units import nifti_affine
from bundle.io.volume_files import NIFTI

from .disc_csv import write_disc_csv
from .disc_errors import DiscFileError
from .disc_json import read_json_object, write_disc_json
from .disc_label_map import check_sidecar, open_grid, write_label_map, write_sidecar
from .disc_points import Disc
from .disc_reader import read_discs
from .levels import Numbering, disc_value
from .markups import write_markups


def convert_discs(
    path: str | Path, target: str | Path, *, image: str | Path | None = None, numbering: Numbering = "sct"
) -> list[Disc]:
    """Read discs from a file of any format, and write them in the format of another file.

    Args:
        path: file to read, see :func:`.disc_reader.read_discs`.
        target: file to write: label map (``.nii.gz``, ``.nii``), ``.csv``, ``.mrk.json`` or ``.json``.
        image: NIfTI image of the discs; needed for a label map, and for the voxels of a CSV.
        numbering: numbering of the values in a label map and a CSV.

    Returns:
        The discs that the target has no value for.

    Raises:
        DiscFileError: when a file cannot be used, the image of a label map is missing, or the target is this image or
            would replace another file.
    """
    file, name = Path(target), Path(target).name.lower()
    if image is not None and file.exists() and Path(image).exists() and file.samefile(image):
        raise DiscFileError(file, "is the image, which is kept", "write another file")
    affine = None if image is None else nifti_affine(open_grid(image))
    discs = read_discs(path, affine=affine)
    if name.endswith(NIFTI):
        if image is None:
            raise DiscFileError(file, "is a label map, which has the grid of an image", "name it with --image")
        check_sidecar(file)
        valued = [disc for disc in discs if disc_value(disc.value, numbering) is not None]
        write_label_map(valued, file, image, numbering=numbering)
        write_sidecar(file, numbering=numbering)
        return [disc for disc in discs if disc not in valued]
    if name.endswith(".csv"):
        write_disc_csv(discs, file, affine=affine, numbering=numbering)
    elif name.endswith(".mrk.json"):
        write_markups(discs, file)
    elif name.endswith(".json"):
        if file.exists() and "case" in read_json_object(file):
            raise DiscFileError(file, "is the record of a case, which is kept", "write another file")
        write_disc_json(discs, file, image=image or "", affine=affine)
    else:
        raise DiscFileError(file, "is no format of discs", "use .nii.gz, .json, .mrk.json or .csv")
    return []
