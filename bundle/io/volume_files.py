"""File formats of volumes, detected from names and first bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

NIFTI = (".nii.gz", ".nii")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
ARCHIVE = (".zip",)
DICOM_OBJECT = (".dcm",)
"""Endings of DICOM SEG objects and RT Structure Sets, which are read as labels of a listed image."""

ENDINGS = (*NIFTI, *ITK, *ARCHIVE)
"""Endings of the files in a folder that count as volumes."""

DETACHED = (".nhdr", ".mhd")
"""Endings of headers whose voxels lie in another file."""

VOXELS = re.compile(rb"^(?:ElementDataFile|data ?file)\s*[=:]\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
"""The line of a detached header that names the file with the voxels."""

HEADER_BYTES = 1 << 16

UNREAD = (
    *(".mgz", ".mgh", ".hdr", ".img", ".img.gz", ".mnc", ".gipl", ".gipl.gz", ".mif", ".mif.gz"),
    *(".nii.bz2", ".nii.zst", ".nrrd.gz", ".mha.gz"),
)
"""Endings of volumes of formats that are not read; a list of cases names them, so that they are reported."""


SERIES_UID = re.compile(r"[0-2](?:\.\d+){3,}")
"""A SeriesInstanceUID, which can follow a folder or archive as if it were a file in it."""


def split_uid(path: str | Path) -> tuple[Path, str | None]:
    """Return the folder or archive of a DICOM series and, if the path ends with one, its SeriesInstanceUID.

    Examples:
        >>> split_uid("scan.nii.gz")
        (PosixPath('scan.nii.gz'), None)
    """
    path = Path(path)
    is_uid = SERIES_UID.fullmatch(path.name) is not None and not path.exists()
    is_series = is_uid and (path.parent.is_dir() or path.parent.name.lower().endswith(ARCHIVE))
    return (path.parent, path.name) if is_series else (path, None)


def kind_of(path: str | Path) -> str:
    """Return the kind of a volume by its name.

    Returns:
        ``"dicom"`` for a folder or an archive, or a series in one, ``"itk"`` for NRRD and MetaImage, ``"dicom object"``
        for one DICOM file, ``"nifti"`` for the rest.
    """
    name = Path(path).name.lower()
    if name.endswith(ARCHIVE) or Path(path).is_dir() or split_uid(path)[1] is not None:
        return "dicom"
    if name.endswith(DICOM_OBJECT):
        return "dicom object"
    return "itk" if name.endswith(ITK) else "nifti"


def files_of(image: str | Path | Sequence[str | Path]) -> list[str]:
    """Return the files of an image: one, or one per channel."""
    return [str(image)] if isinstance(image, str | Path) else [str(file) for file in image]


def content_files(path: Path) -> list[Path]:
    """Return the files that a path consists of: those directly in a DICOM folder, a header and the voxels it names."""
    folder, uid = split_uid(path)
    if folder.is_dir():
        return _files_in(folder)
    if uid is not None:
        return [folder]
    is_header = path.name.lower().endswith(DETACHED) and path.is_file()
    return [path, *_voxels_of(path)] if is_header else [path]


def stem_of(path: str | Path) -> str:
    """Return the name of a volume without the ending of its kind."""
    path = Path(path)
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def _voxels_of(header: Path) -> list[Path]:
    """Return the file of voxels that a header names or all files of its folder if it does not name exactly one."""
    with open(header, "rb") as stream:
        named = VOXELS.search(stream.read(HEADER_BYTES))
    voxels = header.parent / os.fsdecode(named[1]) if named else header.parent
    return [voxels] if os.path.isfile(voxels) else _files_in(header.parent)


def _files_in(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]


def volumes_in(folder: Path) -> list[Path]:
    """List the volumes of a folder but the hidden ones, such as the ``._a.nii.gz`` that macOS adds to archives."""
    return sorted(folder / name for name in names_with(folder, ENDINGS))


def names_with(folder: Path, endings: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the files of a folder with an ending, in any order and without the hidden ones."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.lower().endswith(endings) and not name.startswith(".") and not entry.is_dir():
                    yield name


def volume_names(folder: Path) -> Iterator[str]:
    """Yield the names of the volumes of a folder, those of formats that are not read among them, in any order."""
    yield from names_with(folder, ENDINGS)
    yield from (file.name for file in unread_volumes_in(folder))


def unread_volumes_in(folder: Path) -> list[Path]:
    """List the volumes of a folder that are of formats that are not read, but the voxels of a header that is listed."""
    found = sorted(folder / name for name in names_with(folder, UNREAD))
    headers = {file.stem for file in found if file.suffix.lower() == ".hdr"}
    voxels = (".img", ".img.gz")
    return [
        file for file in found if not (file.name.lower().endswith(voxels) and file.name.split(".img")[0] in headers)
    ]


def is_dicom(file: Path) -> bool:
    """Return whether a file has the mark of DICOM behind its preamble."""
    if not file.is_file():
        return False
    with open(file, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"
