"""One DICOM series, in a folder or a zip archive, as a volume, under the contract for bad input.

The grid is computed from the headers: slices in the order of their positions along the normal of the image plane. The
voxels are read by SimpleITK (GDCM), with the rescaling of every slice applied.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from monai.data import MetaTensor

from bundle.utils.lengths import is_above, is_below

from .input_checks import (
    MAX_SHIFT,
    MissingGeometryError,
    SeriesError,
    SliceSpacingError,
    UnreadableFileError,
    VoxelTypeError,
    check_grid,
    check_presence,
)
from .itk import LPS_TO_RAS, as_meta_tensor, require

TAGS = [
    *("SOPClassUID", "SeriesInstanceUID", "SeriesDescription", "Modality", "Rows", "Columns", "NumberOfFrames"),
    *("SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
]
PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


@dataclass(frozen=True)
class Series:
    """A series that was found usable.

    Attributes:
        source: the folder or archive.
        names: paths of the slices in it, in the order of the third axis.
        shape: columns, rows, slices.
        affine: from voxels to RAS+ in mm.
        remarks: sentences for the user.
    """

    source: Path
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray
    remarks: tuple[str, ...]


def open_series(source: str | Path, spacing_range: Sequence[float] | None = None) -> Series:
    """Find the one series of a folder or archive and check its headers.

    Args:
        source: folder with the files of the series in it, or zip archive with them anywhere.
        spacing_range: smallest and largest voxel size in mm; None for any.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    check_presence(source)
    headers = _headers(Path(source))
    (chosen, remarks) = _one_series(source, headers)
    first = chosen[0][1]
    _check_alike(source, chosen)
    normal = np.cross(*np.reshape(_numbers(first.ImageOrientationPatient), (2, 3)))
    chosen = sorted(chosen, key=lambda item: float(normal @ _numbers(item[1].ImagePositionPatient)))
    positions = np.array([_numbers(header.ImagePositionPatient) for _, header in chosen])
    names = tuple(name for name, _ in chosen)
    step = (positions[-1] - positions[0]) / max(len(names) - 1, 1)
    affine = LPS_TO_RAS @ _affine(first, positions[0], step if len(names) > 1 else normal)
    shape = (int(first.Columns), int(first.Rows), len(names))
    _check_steps(source, names, positions @ normal, positions)
    check_grid(source, shape, affine, spacing_range)
    return Series(Path(source), names, shape, affine, tuple(remarks))


def read_series(series: Series) -> MetaTensor:
    """Return the voxels of a series as a MetaTensor ``(1, D, H, W)``, float32."""
    sitk = require("SimpleITK", series.source)
    with slice_files(series) as files:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        reader.SetOutputPixelType(sitk.sitkFloat32)
        return as_meta_tensor(reader.Execute(), series.source, series.affine)


@contextmanager
def slice_files(series: Series) -> Iterator[list[str]]:
    """Give the paths of the slices; those of an archive are unpacked for the while."""
    if series.source.is_dir():
        yield [str(series.source / name) for name in series.names]
        return
    with TemporaryDirectory() as folder, zipfile.ZipFile(series.source) as archive:
        files = [Path(folder, f"{number}.dcm") for number in range(len(series.names))]
        for name, file in zip(series.names, files, strict=True):
            with archive.open(name) as packed, open(file, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        yield [str(file) for file in files]


def _headers(source: Path) -> list[tuple[str, Any]]:
    """Return names and headers of all DICOM files that are images."""
    found = []
    for name, stream in _streams(source):
        header = _header(source, name, stream)
        if header is not None and "Rows" in header and "SeriesInstanceUID" in header:
            found.append((name, header))
    return found


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


def _one_series(source: str | Path, headers: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the files of the only series that has a place in the world, and remarks on others."""
    series: dict[str, list[tuple[str, Any]]] = {}
    for name, header in headers:
        if _has_frames(header) and header.get("Modality") != "SEG":
            raise _several_frames(source, name)
        series.setdefault(str(header.SeriesInstanceUID), []).append((name, header))
    placed = {uid: items for uid, items in series.items() if any(PLACE[0] in header for _, header in items)}
    described = {uid: _described(items) for uid, items in series.items()}
    if not series:
        raise SeriesError(source, "holds no DICOM image", "pass a folder or a zip archive with one series")
    if len(placed) > 1:
        raise SeriesError(
            source,
            f"holds {len(placed)} series: {', '.join(sorted(described[uid] for uid in placed))}",
            "put each one in a separate folder, and pass the folder that contains these",
        )
    if not placed:
        raise MissingGeometryError(source, "has slices without ImagePositionPatient", "export the original series")
    (uid,) = placed
    return placed[uid], [f"skipped {text}, which has no position" for key, text in described.items() if key != uid]


def _has_frames(header: Any) -> bool:
    return int(header.get("NumberOfFrames") or 1) > 1


def _several_frames(source: str | Path, name: str) -> SeriesError:
    return SeriesError(
        source, f"its file {name} has several frames", "convert it to NIfTI, e.g. with dcm2niix, or split it"
    )


def _described(items: list[tuple[str, Any]]) -> str:
    header = items[0][1]
    return f"{header.get('SeriesDescription') or header.get('Modality') or 'unnamed'!s} ({len(items)} files)"


def _check_alike(source: str | Path, items: list[tuple[str, Any]]) -> None:
    """Check that every slice has a position and the size, orientation and voxel size of the first."""
    (first_name, first) = items[0]
    for name, header in items:
        missing = [tag for tag in PLACE if not header.get(tag)]
        if missing:
            raise MissingGeometryError(source, f"its file {name} has no {missing[0]}", "export the original series")
        if _has_frames(header):
            raise _several_frames(source, name)
        if int(header.get("SamplesPerPixel") or 1) > 1:
            raise VoxelTypeError(source, f"its file {name} has color voxels", "export the series in shades of gray")
        for tags in (("Rows", "Columns"), PLACE[1:2], PLACE[2:]):
            usual, own = (np.concatenate([_numbers(item.get(tag)) for tag in tags]) for item in (first, header))
            if not np.allclose(usual, own, rtol=1e-4, atol=1e-4):
                raise SeriesError(
                    source,
                    f"its files {first_name} and {name} differ in {' and '.join(tags)}",
                    "export the slices of one orientation as a series of their own",
                )


def _numbers(value: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(value, dtype=float))


def _affine(header: Any, origin: np.ndarray, step: np.ndarray) -> np.ndarray:
    rows, columns = _numbers(header.PixelSpacing)
    along_row, along_column = np.reshape(_numbers(header.ImageOrientationPatient), (2, 3))
    affine = np.eye(4)
    affine[:3] = np.stack([along_row * columns, along_column * rows, step, origin], axis=1)
    return affine


def _check_steps(source: str | Path, names: Sequence[str], places: np.ndarray, positions: np.ndarray) -> None:
    """Check that slices lie evenly on a line.

    Args:
        source: where the series lies.
        names: names of the slices.
        places: places of the slices along the normal, increasing, in mm.
        positions: positions of the slices ``(N, 3)`` in mm.
    """
    if len(names) < 3:
        return
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    low, high = int(gaps.argmin()), int(gaps.argmax())
    if is_below(gaps[low], MAX_SHIFT * max(usual, 1e-3)):
        raise SeriesError(
            source,
            f"its files {names[low]} and {names[low + 1]} lie at the same place",
            "keep one acquisition, time point or echo",
        )
    if is_above(gaps[high], 1.5 * usual):
        raise SliceSpacingError(
            source,
            f"about {round(gaps[high] / usual) - 1} slices are missing between {names[high]} and {names[high + 1]}",
            "copy or export the whole series again",
        )
    line = np.linspace(positions[0], positions[-1], len(names))
    off = np.linalg.norm(positions - line, axis=1)
    if is_above(off.max(), MAX_SHIFT * usual):
        raise SliceSpacingError(
            source,
            f"its slices are uneven: {names[int(off.argmax())]} lies {off.max():.2g} mm off its place",
            "resample it to even slices",
        )
