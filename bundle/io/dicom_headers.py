"""Headers of the DICOM files of a folder or a zip archive, and the folders of a tree that hold images."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai.utils import optional_import

from .input_checks import UnreadableFileError
from .itk import require
from .volume_files import ENDINGS, SERIES_UID, is_dicom

logger = logging.getLogger(__name__)

TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesDescription", "Modality", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "InstanceNumber"),
    *("FrameOfReferenceUID", "StudyInstanceUID", "SOPInstanceUID", "PatientID"),
]

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Attributes of the place of a slice."""

DERIVED = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map SEG",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
}
"""SOP classes of objects that have pixels but are derived from images, by their UID."""

VOLUMES = (
    *("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"),
    *("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"),
    *("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1"),
)
"""SOP classes of CT, MR and PET: one slice per file, enhanced, and converted to enhanced."""

ENHANCED = (*VOLUMES[1:3], *VOLUMES[4:6], *VOLUMES[7:9])
"""Those of :data:`VOLUMES` whose slices are frames, with their positions in functional groups."""


def read_headers(source: Path) -> list[tuple[str, Any]]:
    """Return names and headers of all DICOM files with pixels that are directly in a folder, or in an archive.

    Raises:
        UnreadableFileError: when a DICOM file or the archive cannot be read, or pydicom is not installed.
    """
    found = []
    for name, stream in _streams(source):
        header = _header(source, name, stream)
        if header is None:
            continue
        if "Rows" in header and "SeriesInstanceUID" in header:
            found.append((name, header))
        elif _sop_class(header) in ("", *VOLUMES):
            raise _damaged(source, name, "has no SOPClassUID, Rows or SeriesInstanceUID")
    return found


def derived_kind(header: Any) -> str | None:
    """Return the kind of an object that is derived from images, such as ``"SEG"``; None for an image."""
    modality = str(header.get("Modality"))
    return DERIVED.get(str(header.get("SOPClassUID"))) or (modality if modality in DERIVED.values() else None)


def has_frames(header: Any) -> bool:
    """Return whether the slices of a file are frames: there are several, or the object is of an enhanced class."""
    return int(header.get("NumberOfFrames") or 1) > 1 or str(header.get("SOPClassUID")) in ENHANCED


def may_be_volume(items: Sequence[tuple[str, Any]]) -> bool:
    """Return whether a series has slices with a position, or frames of CT, MR or PET.

    Args:
        items: names and headers of its files.
    """
    if all(has_frames(header) for _, header in items):
        return any(str(header.get("SOPClassUID")) in VOLUMES for _, header in items)
    return any(PLACE[0] in header for _, header in items)


def series_in(folder: Path) -> list[Path]:
    """Return the DICOM series in a folder and at any depth below it, sorted.

    A series is named by its folder or, if a folder has several that can be volumes, ``<folder>/<SeriesInstanceUID>``.
    Folders whose DICOM files are no images (a DICOMDIR, reports, contours, segmentations, doses) are logged.
    """
    found = []
    for parent in folders_below(folder):
        files = [file for file in sorted(parent.iterdir()) if _may_be_dicom(file.name) and is_dicom(file)]
        if any(_may_be_image(file) for file in files):
            uids = _volume_uids(files)
            found += [parent / uid for uid in uids] if len(uids) > 1 else [parent]
        elif files:
            logger.info("%s: skipped, its %d DICOM files are not images.", parent, len(files))
    return found


def _may_be_dicom(name: str) -> bool:
    """Return False for hidden files and those that are volumes of another format by their names."""
    return not name.startswith(".") and not name.lower().endswith(ENDINGS)


def _volume_uids(files: Sequence[Path]) -> list[str]:
    """Return the SeriesInstanceUIDs of the files that can be volumes; files that cannot be read are not counted."""
    series: dict[str, list[tuple[str, Any]]] = {}
    for file in files:
        header = _try_header(file)
        if header is not None and "Rows" in header and not derived_kind(header):
            series.setdefault(str(header.get("SeriesInstanceUID")), []).append((file.name, header))
    return sorted(uid for uid, items in series.items() if SERIES_UID.fullmatch(uid) and may_be_volume(items))


def folders_below(root: Path) -> list[Path]:
    """Return a folder and those below it that are not hidden; links are followed, but no folder is visited twice."""
    found, seen = [], set()
    for parent, children, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            children.clear()
            continue
        seen.add(real)
        children[:] = [child for child in children if not child.startswith(".")]
        found.append(Path(parent))
    return sorted(found)


def _may_be_image(file: Path) -> bool:
    """Return False for a DICOM file that is known not to be an image; True also for one that cannot be read."""
    header = _try_header(file)
    if header is None:
        return True
    if derived_kind(header):
        return False
    return "Rows" in header or _sop_class(header) in ("", *VOLUMES)


def _try_header(file: Path) -> Any:
    """Return the header of a DICOM file; None if it cannot be read, or pydicom is not installed."""
    pydicom, installed = optional_import("pydicom")
    if not installed:
        return None
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
    except Exception:
        return None


def _sop_class(header: Any) -> str:
    """Return the UID of the SOP class, from the header or its meta information; empty if it names none."""
    return str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")


def _streams(source: Path) -> Iterator[tuple[str, Any]]:
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                with open(path, "rb") as stream:
                    yield path.name, stream
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if not member.is_dir() and not Path(member.filename).name.startswith("."):
                    with archive.open(member) as stream:
                        yield member.filename, stream
    except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
        raise UnreadableFileError(source, f"cannot be unpacked ({error})", "copy it again or pack it anew") from error


def _header(source: Path, name: str, stream: Any) -> Any:
    """Return the header of a DICOM file, or None for any other file."""
    pydicom = require("pydicom", source)
    try:
        return pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=TAGS)
    except pydicom.errors.InvalidDicomError as error:
        if name.lower().endswith(".dcm"):
            raise _damaged(source, name, "is no DICOM file") from error
        return None
    except Exception as error:
        raise _damaged(source, name, f"cannot be read ({error})") from error


def _damaged(source: Path, name: str, problem: str) -> UnreadableFileError:
    return UnreadableFileError(source, f"its file {name} {problem}", "copy or export the series again")
