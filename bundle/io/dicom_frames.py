"""Frames of enhanced (multi-frame) DICOM objects: read as the slices of one volume, or split by volume.

Standard: DICOM PS3.3, C.7.6.16 (functional groups). Every frame has a separate position and rescaling.
"""

from __future__ import annotations

import copy
import logging
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .dicom_headers import TAGS, derived_kind, read_headers
from .input_checks import SeriesError, check_presence
from .itk import require
from .volume_files import is_dicom

logger = logging.getLogger(__name__)

VOLUME_ATTRIBUTES = {
    "stacks": "FrameContentSequence.StackID",
    "echoes": "MREchoSequence.EffectiveEchoTime",
    "b-values": "MRDiffusionSequence.DiffusionBValue",
    "gradient directions": "MRDiffusionSequence.DiffusionGradientDirectionSequence.DiffusionGradientOrientation",
    "time points": "FrameContentSequence.TemporalPositionIndex",
    "frame types": "FrameType",
}
"""What the frames of one volume have in common, by the name in the plural, with its path in the functional groups."""

FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")

PLACES = {
    "ImagePositionPatient": "PlanePositionSequence.ImagePositionPatient",
    "ImageOrientationPatient": "PlaneOrientationSequence.ImageOrientationPatient",
    "PixelSpacing": "PixelMeasuresSequence.PixelSpacing",
    "InstanceNumber": "FrameContentSequence.InStackPositionNumber",
}
"""Attributes of a slice, with their paths in the functional groups."""

GROUPS = "PerFrameFunctionalGroupsSequence"

Frame = tuple[str, int]
"""Name of a file, and the index of a frame in it."""


def frames_of(source: Path, files: Sequence[tuple[str, Any]]) -> list[tuple[Frame, Any]]:
    """Return the frames of the files of a series, each with a header as a file of one slice has it.

    Args:
        source: folder or archive.
        files: names and headers of the files.

    Raises:
        SeriesError: when the frames are those of several volumes.
    """
    pydicom = require("pydicom", source)
    frames, kinds = [], []
    for name, _ in files:
        with open_file(source, name) as stream:
            item = pydicom.dcmread(stream, stop_before_pixels=True)
        if GROUPS not in item:
            raise SeriesError(
                source, f"its file {name} has several frames without positions", "pass a series of CT, MR or PET"
            )
        for index, group in enumerate(item[GROUPS].value):
            frames.append(((name, index), _header(pydicom.Dataset(), item, group)))
            kinds.append(_volume_of(item, group))
    counts = {name: len(set(values)) for name, values in zip(VOLUME_ATTRIBUTES, zip(*kinds, strict=True), strict=True)}
    several = [f"{count} {name}" for name, count in counts.items() if count > 1]
    if several:
        raise SeriesError(
            source,
            f"its frames are of {' and '.join(several)}, which are several volumes",
            "split it by bundle.io.split_frames(input, output_dir), and pass one of the folders that it writes",
        )
    return frames


def read_frames(source: Path, frames: Sequence[Frame]) -> np.ndarray:
    """Return the voxels of frames ``(columns, rows, slices)``, float32, each with its rescaling applied."""
    pydicom = require("pydicom", source)
    items: dict[str, Any] = {}
    volume: list[np.ndarray] = []
    for name, index in frames:
        if name not in items:
            with open_file(source, name) as stream:
                items[name] = pydicom.dcmread(stream)
        item = items[name]
        pixels = item.pixel_array.reshape(-1, item.Rows, item.Columns)[index]
        group = item[GROUPS].value[index]
        slope, intercept = (
            _value(item, group, f"PixelValueTransformationSequence.{tag}", item.get(tag))
            for tag in ("RescaleSlope", "RescaleIntercept")
        )
        volume.append(pixels.T * float(1 if slope is None else slope) + float(intercept or 0))
    return np.stack(volume, axis=2, dtype=np.float32, casting="same_kind")


def split_frames(source: str | Path, output_dir: str | Path) -> list[Path]:
    """Split enhanced DICOM objects by volume: each becomes a separate series in a separate folder.

    Frames are of one volume if they have the same stack, echo, b-value, gradient direction, time point and type.

    Args:
        source: an object, or a folder or zip archive with the objects.
        output_dir: folder for the folders, ``volume1``, ``volume2``, ...; the log says what they hold.

    Returns:
        The folders.

    Raises:
        BadInputError: when the source cannot be read, or has no object whose slices are frames.
    """
    check_presence(source)
    pydicom, source = require("pydicom", source), Path(source)
    root = source.parent if is_dicom(source) else source
    files = [source.name] if is_dicom(source) else [name for name, _ in read_headers(source)]
    folders: dict[tuple[str, ...], tuple[Path, str]] = {}
    for name in files:
        with open_file(root, name) as stream:
            item = pydicom.dcmread(stream)
        for values, part in _parts(item) if GROUPS in item and not derived_kind(item) else ():
            if values not in folders:
                folders[values] = Path(output_dir, f"volume{len(folders) + 1}"), pydicom.uid.generate_uid()
            folder, part.SeriesInstanceUID = folders[values]
            part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            folder.mkdir(parents=True, exist_ok=True)
            part.save_as(folder / Path(name).name, enforce_file_format=True)
    if not folders:
        raise SeriesError(source, "has no image with frames", "pass an enhanced DICOM object")
    for values, (folder, _) in folders.items():
        shown = [f"{tag} {value}" for tag, value in zip(VOLUME_ATTRIBUTES, values[1:], strict=True) if value]
        logger.info("%s: %s", folder, ", ".join(shown) or "one volume")
    return [folder for folder, _ in folders.values()]


@contextmanager
def open_file(source: Path, name: str) -> Iterator[BinaryIO]:
    """Open a file of a folder or an archive."""
    if source.is_dir():
        with open(source / name, "rb") as stream:
            yield stream
    else:
        with zipfile.ZipFile(source) as archive, archive.open(name) as member:
            yield member  # type: ignore[misc]


def _parts(item: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give objects with the frames of one volume each, and what they have in common; the object is emptied."""
    if item.file_meta.TransferSyntaxUID.is_compressed:
        item.decompress(generate_instance_uid=False)
    groups, pixels = item[GROUPS].value, item.PixelData
    size = item.Rows * item.Columns * item.BitsAllocated // 8
    volumes: dict[tuple[str, ...], list[int]] = {}
    for index, group in enumerate(groups):
        volumes.setdefault((str(item.SeriesInstanceUID), *_volume_of(item, group)), []).append(index)
    del item.PixelData, item[GROUPS]
    for values, indices in volumes.items():
        part = copy.deepcopy(item)
        chosen = b"".join(pixels[index * size : (index + 1) * size] for index in indices)
        part.add_new("PixelData", "OW", chosen + b"\0" * (len(chosen) % 2))
        part.PerFrameFunctionalGroupsSequence = [groups[index] for index in indices]
        part.NumberOfFrames = len(indices)
        yield values, part


def _volume_of(item: Any, group: Any) -> tuple[str, ...]:
    """Return the values of :data:`VOLUME_ATTRIBUTES` of a frame, empty where it has none."""
    values = []
    for path in VOLUME_ATTRIBUTES.values():
        paths = [f"{sequence}.{path}" for sequence in FRAME_TYPES] if path == "FrameType" else [path]
        found = [value for value in (_value(item, group, path) for path in paths) if value is not None]
        values.append(str(found[0]) if found else "")
    return tuple(values)


def _header(header: Any, item: Any, group: Any) -> Any:
    """Fill the header of a file of one slice for a frame."""
    for tag in TAGS:
        value = _value(item, group, PLACES[tag]) if tag in PLACES else item.get(tag)
        if value is not None and tag != "NumberOfFrames":
            setattr(header, tag, value)
    return header


def _value(item: Any, group: Any, path: str, default: Any = None) -> Any:
    """Return an attribute of a frame from its functional groups, or those that all frames share."""
    shared = (item.get("SharedFunctionalGroupsSequence") or [{}])[0]
    *sequences, tag = path.split(".")
    for found in (group, shared):
        for name in sequences:
            found = (found.get(name) or [{}])[0]
        if found.get(tag) is not None:
            return found.get(tag)
    return default
