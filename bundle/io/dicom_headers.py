"""Headers of the DICOM files of a folder or a zip archive, and the folders of a tree that hold images."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from monai.utils import optional_import

from bundle.utils.packed_names import PackedNames

from .dicom_series_uid import read_series_uid
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
    return _is_volume({_facts(header) for _, header in items})


def _facts(header: Any) -> tuple[bool, bool, bool]:
    """Return whether a file has frames, whether it is CT, MR or PET, and whether it has a position."""
    return has_frames(header), str(header.get("SOPClassUID")) in VOLUMES, PLACE[0] in header


def _is_volume(facts: Collection[tuple[bool, bool, bool]]) -> bool:
    if all(frames for frames, _, _ in facts):
        return any(is_known for _, is_known, _ in facts)
    return any(is_placed for _, _, is_placed in facts)


def series_in(folder: Path) -> list[Path]:
    """Return the DICOM series in a folder and at any depth below it, sorted.

    A series is named by its folder or, if a folder has several that can be volumes, ``<folder>/<SeriesInstanceUID>``.
    Folders whose DICOM files are no images (a DICOMDIR, reports, contours, segmentations, doses) are logged.
    """
    found = []
    for parent in folders_below(folder):
        count, has_image, is_mixed = _survey(parent)
        if has_image:
            uids = _volume_uids(parent) if is_mixed else []
            found += [parent / uid for uid in uids] if len(uids) > 1 else [parent]
        elif count:
            logger.info("%s: skipped, its %d DICOM files are not images.", parent, count)
    return found


def _survey(folder: Path) -> tuple[int, bool, bool]:
    """Return the number of DICOM files of a folder, whether one may be an image, and whether they differ in series."""
    count, has_image, first, is_mixed = 0, False, "", False
    for file in _dicom_files(folder):
        count += 1
        has_image = has_image or _may_be_image(file)
        if not is_mixed:
            uid = read_series_uid(file) or _uid(_try_header(file))
            first = first or uid
            is_mixed = uid not in ("", first)
    return count, has_image, is_mixed


def _dicom_files(folder: Path) -> Iterator[Path]:
    """Yield the DICOM files of a folder, in any order, without hidden files and those named as other volumes."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and not entry.name.lower().endswith(ENDINGS):
                file = folder / entry.name
                if is_dicom(file):
                    yield file


def _uid(header: Any) -> str:
    return str(header.get("SeriesInstanceUID") or "") if header is not None else ""


def _volume_uids(folder: Path) -> list[str]:
    """Return the SeriesInstanceUIDs of the files that can be volumes; files that cannot be read are not counted."""
    series: dict[str, set[tuple[bool, bool, bool]]] = {}
    for file in _dicom_files(folder):
        header = _try_header(file)
        if header is not None and "Rows" in header and not derived_kind(header):
            series.setdefault(str(header.get("SeriesInstanceUID")), set()).add(_facts(header))
    return sorted(uid for uid, facts in series.items() if SERIES_UID.fullmatch(uid) and _is_volume(facts))


def folders_below(root: Path) -> Iterator[Path]:
    """Yield a folder and those below it that are not hidden, in the order of their paths.

    Links are followed, but no folder is visited twice; folders that cannot be listed are left out.
    """
    seen: set[int] = set()
    levels = [iter([root])]
    while levels:
        folder = next(levels[-1], None)
        if folder is None:
            levels.pop()
            continue
        real = hash(os.path.realpath(folder))
        if real in seen:
            continue
        seen.add(real)
        try:
            names = PackedNames(_folder_names(folder))
        except OSError:
            continue
        yield folder
        levels.append(map(folder.joinpath, names))


def _folder_names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())


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
