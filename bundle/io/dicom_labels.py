"""Reading of label maps from DICOM SEG objects and RT Structure Sets, on the grid of their image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from bundle.utils.lengths import is_above

from .dicom_headers import DERIVED
from .input_checks import MAX_SHIFT, BadInputError, GridMismatchError, LabelValuesError, UnreadableFileError
from .itk import LPS_TO_RAS, require
from .label_maps import source_grid
from .mask_contours import fill_contours
from .volume_files import files_of

Structures = Iterator[tuple[int, np.ndarray]]
"""Value, and voxels ``(N, 3)`` of a part of a structure, not rounded."""


def read_dicom_labels(file: str | Path, image: str | Path | Sequence[str | Path] | None) -> MetaTensor:
    """Return the label map ``(1, D, H, W)``, float32, of a DICOM SEG object or an RT Structure Set.

    The value of a structure is that of the objects that this project writes, see :mod:`.dicom_seg` and
    :mod:`.rtstruct`, and in others the number of the segment or ROI. A voxel belongs to a contour if its center is
    within it.

    Args:
        file: the object.
        image: file or files of the image; the objects hold only the part of its grid that has labels.

    Raises:
        BadInputError: of the type that says what is wrong.
    """
    item = require("pydicom", file).dcmread(file)
    is_segmentation = DERIVED.get(item.get("SOPClassUID"), "").endswith("SEG")
    if not is_segmentation and item.get("Modality") != "RTSTRUCT":
        raise UnreadableFileError(file, "is neither a DICOM SEG nor an RTSTRUCT", "name the file with the labels")
    if image is None:
        raise UnreadableFileError(file, "is a DICOM object, which needs the grid of its image", "name its image too")
    shape, affine = source_grid(files_of(image)[0])
    labels = np.zeros(shape, np.float32)
    to_voxels = (np.linalg.inv(affine) @ LPS_TO_RAS)[:3]
    for value, found in (_segments if is_segmentation else _contours)(file, item, to_voxels):
        _insert(file, labels, value, found)
    meta = {"filename_or_obj": str(file)}
    return MetaTensor(torch.from_numpy(labels)[None], affine=torch.from_numpy(affine), meta=meta)


def _insert(file: str | Path, labels: np.ndarray, value: int, found: np.ndarray) -> None:
    """Set voxels to a value, in place."""
    voxels = found.round().astype(int)
    if is_above(np.abs(found - voxels).max(initial=0), MAX_SHIFT):
        raise _off_grid(file)
    if (voxels < 0).any() or (voxels >= labels.shape).any():
        raise GridMismatchError(file, "has labels outside its image", "name the image that was labeled")
    place = tuple(voxels.T)
    if ((labels[place] != 0) & (labels[place] != value)).any():
        raise LabelValuesError(file, "has voxels that belong to two structures", "keep one structure per voxel")
    labels[place] = value


def _segments(file: str | Path, item: Any, to_voxels: np.ndarray) -> Structures:
    if item.SegmentationType == "FRACTIONAL":
        raise LabelValuesError(file, "is of type FRACTIONAL", "save it as type BINARY")
    values = {segment.SegmentNumber: _value(segment) for segment in item.SegmentSequence}
    frames = item.pixel_array.reshape(-1, item.Rows, item.Columns)
    shared = item.SharedFunctionalGroupsSequence[0]
    for frame, groups in zip(frames, item.PerFrameFunctionalGroupsSequence, strict=True):
        (plane, measures, place) = (
            (groups.get(name) or shared[name].value)[0]
            for name in ("PlaneOrientationSequence", "PixelMeasuresSequence", "PlanePositionSequence")
        )
        steps = _steps(plane.ImageOrientationPatient, measures.PixelSpacing)
        origin = np.array(place.ImagePositionPatient, float)
        for number in np.unique(frame[frame > 0]).tolist():
            rows, columns = np.nonzero(frame == number)
            places = np.stack([columns, rows], axis=1) @ steps + origin
            if item.SegmentationType == "BINARY":
                identification = groups.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
                number = identification[0].ReferencedSegmentNumber
            yield values[number], _voxels(places, to_voxels)


def _value(segment: Any) -> int:
    """Return the label value of a segment."""
    (code,) = segment.SegmentedPropertyTypeCodeSequence
    return int(code.CodeValue if code.CodingSchemeDesignator == "99KEYSLICE" else segment.SegmentNumber)


def _contours(file: str | Path, item: Any, to_voxels: np.ndarray) -> Structures:
    for structure in item.ROIContourSequence:
        planes: dict[tuple[int, int], list[np.ndarray]] = {}
        for contour in structure.get("ContourSequence", []):
            if contour.ContourGeometricType in ("OPEN_PLANAR", "OPEN_NONPLANAR"):
                raise LabelValuesError(file, "has a structure with an open contour", "close its contours")
            if contour.ContourGeometricType in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                points = _voxels(np.reshape(contour.ContourData, (-1, 3)).astype(float), to_voxels)
                axis = int(np.ptp(points, axis=0).argmin())
                index = round(float(points[:, axis].mean()))
                if is_above(np.abs(points[:, axis] - index).max(), MAX_SHIFT):
                    raise _off_grid(file)
                planes.setdefault((axis, index), []).append(np.delete(points, axis, axis=1))
        for (axis, index), outlines in planes.items():
            yield int(structure.ReferencedROINumber), np.insert(fill_contours(outlines), axis, index, axis=1)


def _steps(orientation: Any, spacing: Any) -> np.ndarray:
    """Return the steps from a column and from a row to the next, in LPS+ in mm."""
    return np.reshape(orientation, (2, 3)).astype(float) * np.array(spacing, float)[::-1, None]


def _voxels(places: np.ndarray, to_voxels: np.ndarray) -> np.ndarray:
    return places @ to_voxels[:, :3].T + to_voxels[:, 3]


def _off_grid(file: str | Path) -> BadInputError:
    return GridMismatchError(file, "does not lie in the voxels of its image", "name the image that was labeled")
