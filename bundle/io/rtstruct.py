"""DICOM RT Structure Sets: the contours of every structure in the slices of the series, for radiotherapy.

Standard: DICOM PS3.3, A.19 and C.8.8.5 to C.8.8.8. Written with pydicom alone: highdicom 0.28.2 has no structure sets,
and the contours of rt-utils 1.2.7 go through the centers of the pixels, which takes half a pixel off every side.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from bundle import __version__

from .dicom import Series
from .dicom_references import NEEDED, UTF_8, names_by_value, source_headers
from .itk import require
from .mask_contours import mask_contours

STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
"""SOP class of RT Structure Sets."""

STUDY = "1.2.840.10008.3.1.2.3.1"
"""SOP class by which structure sets refer to a study."""

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

Contours = dict[int, list[tuple[int, np.ndarray]]]
"""Index of the slice and points ``(N, 3)`` in LPS+ in mm of every contour, by the value of the structure."""


def write_rtstruct(labels: np.ndarray, target: Path, series: Series, label_names: Mapping[str, int]) -> None:
    """Write a label map as RT Structure Set; the number of a structure (ROI) is its value.

    Args:
        labels: integer label map ``(D, H, W)`` on the grid of the series.
        target: file to write.
        series: series that was segmented; patient, study and frame of reference are taken from it.
        label_names: value of every structure by its name.
    """
    pydicom = require("pydicom", target)
    headers = source_headers(series)
    names = names_by_value(labels, label_names)
    written = _new_object(pydicom, headers[0])
    written.ReferencedFrameOfReferenceSequence = [_frame_of_reference(pydicom.Dataset, headers)]
    written.StructureSetROISequence = [
        _item(
            pydicom.Dataset,
            ROINumber=value,
            ReferencedFrameOfReferenceUID=headers[0].FrameOfReferenceUID,
            ROIName=name[:64],
            ROIGenerationAlgorithm="AUTOMATIC",
        )
        for value, name in names.items()
    ]
    contours = _contours(labels, headers)
    written.ROIContourSequence = [
        _roi_contours(pydicom.Dataset, headers, value, contours.get(value, []), color)
        for value, color in zip(names, _colors(len(names)), strict=True)
    ]
    written.RTROIObservationsSequence = [
        _item(
            pydicom.Dataset, ObservationNumber=value, ReferencedROINumber=value, RTROIInterpretedType="", ROIInterpreter=""
        )
        for value in names
    ]
    written.save_as(target, enforce_file_format=True)


def _contours(labels: np.ndarray, headers: Sequence[Any]) -> Contours:
    """Return the contours of all structures, slice by slice."""
    contours: Contours = {}
    for index, header in enumerate(headers):
        plane = labels[:, :, index].T
        along_row, along_column = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
        rows, columns = map(float, header.PixelSpacing)
        steps = np.stack([along_row * columns, along_column * rows])
        for value in np.unique(plane[plane > 0]).tolist():
            for points in mask_contours(plane == value):
                place = points @ steps + np.array(header.ImagePositionPatient, float)
                contours.setdefault(value, []).append((index, place))
    return contours


def _roi_contours(
    dataset: Any, headers: Sequence[Any], value: int, contours: Sequence[tuple[int, np.ndarray]], color: list[int]
) -> Any:
    """Return the contours of one structure as an item; a structure without voxels has none."""
    item = _item(dataset, ReferencedROINumber=value, ROIDisplayColor=color)
    if contours:
        item.ContourSequence = [
            _item(
                dataset,
                ContourImageSequence=[_reference(dataset, headers[index])],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(points),
                ContourNumber=number,
                ContourData=[f"{value:.6f}" for value in points.ravel()],
            )
            for number, (index, points) in enumerate(contours, start=1)
        ]
    return item


def _frame_of_reference(dataset: Any, headers: Sequence[Any]) -> Any:
    """Return the item that names the study, the series and all its slices."""
    series = _item(
        dataset,
        SeriesInstanceUID=headers[0].SeriesInstanceUID,
        ContourImageSequence=[_reference(dataset, header) for header in headers],
    )
    study = _item(
        dataset,
        ReferencedSOPClassUID=STUDY,
        ReferencedSOPInstanceUID=headers[0].StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _item(
        dataset, FrameOfReferenceUID=headers[0].FrameOfReferenceUID, RTReferencedStudySequence=[study]
    )


def _reference(dataset: Any, header: Any) -> Any:
    return _item(
        dataset, ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID
    )


def _new_object(pydicom: Any, header: Any) -> Any:
    """Return a structure set of the patient and the study of a slice, without structures."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = STORAGE, EXPLICIT_LITTLE_ENDIAN
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    written = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    now = datetime.now()
    values = {
        "SpecificCharacterSet": UTF_8,
        "SOPClassUID": STORAGE,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "InstanceCreationDate": now.strftime("%Y%m%d"),
        "InstanceCreationTime": now.strftime("%H%M%S"),
        "Modality": "RTSTRUCT",
        "StudyInstanceUID": header.StudyInstanceUID,
        "FrameOfReferenceUID": header.FrameOfReferenceUID,
        "PositionReferenceIndicator": "",
        "SeriesInstanceUID": pydicom.uid.generate_uid(),
        "SeriesNumber": 1000,
        "SeriesDescription": "keyslice segmentation",
        "InstanceNumber": 1,
        "OperatorsName": "",
        "Manufacturer": "keyslice",
        "ManufacturerModelName": "keyslice",
        "SoftwareVersions": __version__,
        "StructureSetLabel": "keyslice",
        "StructureSetDate": now.strftime("%Y%m%d"),
        "StructureSetTime": now.strftime("%H%M%S"),
        "ApprovalStatus": "UNAPPROVED",
    }
    for name, value in {**{name: header.get(name) for name in NEEDED}, **values}.items():
        setattr(written, name, value)
    return written


def _item(dataset: Any, **attributes: Any) -> Any:
    item = dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _colors(count: int) -> list[list[int]]:
    """Return distinct colors, red, green and blue from 0 to 255."""
    turns = [colorsys.hsv_to_rgb(index * 0.618 % 1, 0.7, 1) for index in range(count)]
    return [[round(255 * share) for share in color] for color in turns]
