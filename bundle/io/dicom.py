"""One DICOM series, in a folder or a zip archive, as a volume, under the contract for bad input.

The grid is computed from the headers: slices in the order of their positions along the normal of the image plane. The
voxels of files of one slice are read by SimpleITK (GDCM), those of frames by pydicom, since SimpleITK applies the
rescaling of one frame to all of them.
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

from .dicom_frames import Frame, frames_of, read_frames
from .dicom_headers import PLACE, derived_kind, has_frames, may_be_volume, read_headers, series_in
from .identifiers import dicom_identifiers
from .input_checks import (
    MAX_SHIFT,
    MissingGeometryError,
    SeriesError,
    SliceSpacingError,
    VoxelTypeError,
    check_grid,
    check_presence,
)
from .itk import LPS_TO_RAS, as_meta_tensor, require, to_meta_tensor
from .volume_files import split_uid

REFERENCED = ("FrameOfReferenceUID", "StudyInstanceUID", "SOPClassUID", "SOPInstanceUID")
"""Attributes of the slices that a DICOM object about them must repeat."""

Slices = list[tuple[str, Any]]
"""Names and headers of files."""


@dataclass(frozen=True)
class Series:
    """A series that was found usable.

    Attributes:
        source: the folder or archive, with the UID of the series if it was given.
        names: paths of the files of the slices in it, in the order of the third axis.
        shape: columns, rows, slices.
        affine: from voxels to RAS+ in mm.
        remarks: sentences for the user.
        reference_faults: why no DICOM object can refer to the slices, such as ``"have no FrameOfReferenceUID"``.
        frames: index of every slice in its file, where the files have several frames each.
        identifiers: attributes of the series by which results are joined with other tables.
    """

    source: Path
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray
    remarks: tuple[str, ...]
    reference_faults: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    identifiers: tuple[tuple[str, str], ...] = ()

    @property
    def container(self) -> Path:
        """The folder or archive."""
        return split_uid(self.source)[0]


def open_series(source: str | Path, spacing_range: Sequence[float] | None = None) -> Series:
    """Find the one series of a folder or archive and check its headers.

    Args:
        source: folder with the files of the series in it, or zip archive with them anywhere; of several series, the
            path of one is ``<folder or archive>/<SeriesInstanceUID>``.
        spacing_range: smallest and largest voxel size in mm; None for any.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    container, uid = split_uid(source)
    check_presence(container)
    headers = [item for item in read_headers(container) if uid in (None, str(item[1].SeriesInstanceUID))]
    (chosen, remarks) = _one_series(source, headers)
    places = _frames(container, chosen)
    chosen = [(label, header) for label, (_, header) in places.items()] or chosen
    first = chosen[0][1]
    _check_alike(source, chosen)
    identifiers = tuple(dicom_identifiers(first).items())
    normal = np.cross(*np.reshape(_numbers(first.ImageOrientationPatient), (2, 3)))
    chosen = sorted(chosen, key=lambda item: float(normal @ _numbers(item[1].ImagePositionPatient)))
    positions = np.array([_numbers(header.ImagePositionPatient) for _, header in chosen])
    names = tuple(name for name, _ in chosen)
    step = (positions[-1] - positions[0]) / max(len(names) - 1, 1)
    affine = LPS_TO_RAS @ _affine(first, positions[0], step if len(names) > 1 else normal)
    shape = (int(first.Columns), int(first.Rows), len(names))
    _check_steps(source, chosen, positions @ normal, positions)
    check_grid(source, shape, affine, spacing_range)
    if not places:
        faults = _reference_faults([header for _, header in chosen])
        return Series(Path(source), names, shape, affine, tuple(remarks), faults, identifiers=identifiers)
    frames = [places[name][0] for name in names]
    return Series(
        *(Path(source), tuple(name for name, _ in frames), shape, affine, tuple(remarks)),
        reference_faults=("are frames of one file",),
        frames=tuple(index for _, index in frames),
        identifiers=identifiers,
    )


def read_series(series: Series) -> MetaTensor:
    """Return the voxels of a series as a MetaTensor ``(1, D, H, W)``, float32, with its identifiers in the metadata."""
    image = _read_voxels(series)
    image.meta["identifiers"] = dict(series.identifiers)
    return image


def _read_voxels(series: Series) -> MetaTensor:
    sitk = require("SimpleITK", series.source)
    if series.frames:
        frames = list(zip(series.names, series.frames, strict=True))
        return to_meta_tensor(read_frames(series.container, frames), series.source, series.affine)
    with slice_files(series) as files:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(files)
        reader.SetOutputPixelType(sitk.sitkFloat32)
        return as_meta_tensor(reader.Execute(), series.source, series.affine)


@contextmanager
def slice_files(series: Series) -> Iterator[list[str]]:
    """Give the paths of the slices; those of an archive are unpacked for the while."""
    if series.container.is_dir():
        yield [str(series.container / name) for name in series.names]
        return
    with TemporaryDirectory() as folder, zipfile.ZipFile(series.container) as archive:
        files = [Path(folder, f"{number}.dcm") for number in range(len(series.names))]
        for name, file in zip(series.names, files, strict=True):
            with archive.open(name) as packed, open(file, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
        yield [str(file) for file in files]


def _reference_faults(headers: Sequence[Any]) -> tuple[str, ...]:
    """Return why no DICOM object can refer to the slices: attributes that are missing, differ, or are not unique."""
    values = {tag: [header.get(tag) for header in headers] for tag in REFERENCED}
    missing = [tag for tag in REFERENCED if not all(values[tag])]
    differing = [tag for tag in REFERENCED[:2] if tag not in missing and len(set(values[tag])) > 1]
    shared = "SOPInstanceUID" not in missing and len(set(values["SOPInstanceUID"])) < len(headers)
    return (
        *(f"have no {tag}" for tag in missing),
        *(f"differ in {tag}" for tag in differing),
        *(["share a SOPInstanceUID"] if shared else []),
    )


def _one_series(source: str | Path, headers: Slices) -> tuple[Slices, list[str]]:
    """Return the files of the only series that can be a volume, and remarks on the other objects with pixels."""
    series: dict[str, Slices] = {}
    for name, header in headers:
        series.setdefault(str(header.SeriesInstanceUID), []).append((name, header))
    images = {uid: items for uid, items in series.items() if not all(derived_kind(header) for _, header in items)}
    if not images:
        raise _no_image(source, list(series.values()))
    volumes = {uid: items for uid, items in images.items() if may_be_volume(items)} or {
        uid: items for uid, items in images.items() if has_frames(items[0][1])
    }
    if len(volumes) > 1:
        known = ", ".join(sorted(_described(items) for items in volumes.values()))
        example = f"{source}/{min(volumes)}"
        raise SeriesError(source, f"holds {len(volumes)} series: {known}", f"pass one of them by its UID, as {example}")
    if not volumes:
        raise MissingGeometryError(source, "has slices without ImagePositionPatient", "export the original series")
    (uid,) = volumes
    others = [items for key, items in series.items() if key != uid]
    return volumes[uid], [f"skipped {_described(items)}, which {_why_skipped(items)}" for items in others]


def _no_image(source: str | Path, derived: list[Slices]) -> SeriesError:
    """Return the error for a source without images; of a folder, it names those below that hold some."""
    below = [] if Path(source).is_file() else [folder for folder in series_in(Path(source)) if folder != Path(source)]
    if below:
        shown = ", ".join(str(folder.relative_to(source)) for folder in below[:5]) + (", ..." if below[5:] else "")
        return SeriesError(source, f"holds no DICOM image, but its folders do: {shown}", "pass one of these folders")
    kinds = f" but {', '.join(_described(items) for items in derived)}" if derived else ""
    return SeriesError(source, f"holds no DICOM image{kinds}", "pass a folder or a zip archive with one series")


def _why_skipped(items: Slices) -> str:
    header = items[0][1]
    kind = derived_kind(header)
    if kind:
        return f"is not an image but derived from images ({kind})"
    return f"has several frames ({header.get('Modality')})" if has_frames(header) else "has no position"


def _described(items: Slices) -> str:
    header = items[0][1]
    return f"{header.get('SeriesDescription') or header.get('Modality') or 'unnamed'!s} ({len(items)} files)"


def _frames(source: Path, items: Slices) -> dict[str, tuple[Frame, Any]]:
    """Return the frames of a series of files with several frames, by their names in messages; else none."""
    framed = [name for name, header in items if has_frames(header)]
    if framed and len(framed) < len(items):
        raise SeriesError(
            source, f"its file {framed[0]} has several frames, others are one slice", "pass them in separate folders"
        )
    found = frames_of(source, items) if framed else []
    return {f"{frame[0]}, frame {frame[1] + 1},": (frame, header) for frame, header in found}


def _check_alike(source: str | Path, items: Slices) -> None:
    """Check that every slice has a position and the size, orientation and voxel size of the first."""
    (first_name, first) = items[0]
    for name, header in items:
        missing = [tag for tag in PLACE if not header.get(tag)]
        if missing:
            raise MissingGeometryError(source, f"its file {name} has no {missing[0]}", "export the original series")
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


def _check_steps(source: str | Path, items: Slices, places: np.ndarray, positions: np.ndarray) -> None:
    """Check that slices lie evenly on a line.

    Args:
        source: where the series lies.
        items: the slices.
        places: places of the slices along the normal, increasing, in mm.
        positions: positions of the slices ``(N, 3)`` in mm.
    """
    names = [name for name, _ in items]
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
    uneven = "pass the slices of one spacing as a series of their own, or resample the series to even slices"
    if is_above(gaps[high], 1.5 * usual):
        if _follow_each_other([header for _, header in items], high):
            raise SliceSpacingError(
                source,
                f"its slices are uneven: {names[high]} and {names[high + 1]} follow each other by InstanceNumber and "
                f"are {gaps[high]:.3g} mm apart, others {gaps[low]:.3g} mm",
                uneven,
            )
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
            uneven,
        )


def _follow_each_other(headers: Sequence[Any], index: int) -> bool:
    """Return whether the numbers of a slice and the next show that no slice is missing between them."""
    numbers = [header.get("InstanceNumber") for header in headers]
    if any(number is None for number in numbers):
        return False
    steps = np.abs(np.diff([int(number) for number in numbers]))
    return 0 < steps[index] <= np.median(steps)
