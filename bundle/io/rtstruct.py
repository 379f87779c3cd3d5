"""DICOM RT Structure Sets: the contours of every structure in the slices of the series, for radiotherapy.

Standard: DICOM PS3.3, A.19 and C.8.8.5 to C.8.8.8. Written with pydicom alone: highdicom 0.28.2 has no structure sets.
rt-utils 1.2.7 runs the contours through the centers of the pixels, which takes half a pixel off every side and leaves a
structure of one pixel without area, and exchanges the two spacings of pixels that are not square.
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

Content = dict[str, Any]
"""Values of DICOM attributes by keyword; that of a sequence is a list of the same."""


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
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = STORAGE, EXPLICIT_LITTLE_ENDIAN
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    content = {
        **_general(headers[0]),
        **_structures(headers, names_by_value(labels, label_names), _contours(labels, headers)),
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": pydicom.uid.generate_uid(),
    }
    written = pydicom.dataset.FileDataset("", _dataset(content, pydicom.Dataset), file_meta=meta, preamble=bytes(128))
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


def _general(header: Any) -> Content:
    """Return the attributes of patient, study, equipment and structure set."""
    now = datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return {
        **{name: header.get(name) for name in (*NEEDED, "StudyInstanceUID", "FrameOfReferenceUID")},
        **{"SpecificCharacterSet": UTF_8, "SOPClassUID": STORAGE, "Modality": "RTSTRUCT", "InstanceNumber": 1},
        **{"InstanceCreationDate": date, "InstanceCreationTime": time, "PositionReferenceIndicator": ""},
        **{"SeriesNumber": 1000, "SeriesDescription": "keyslice segmentation", "OperatorsName": ""},
        **{"Manufacturer": "keyslice", "ManufacturerModelName": "keyslice", "SoftwareVersions": __version__},
        **{"StructureSetLabel": "keyslice", "StructureSetDate": date, "StructureSetTime": time},
        "ApprovalStatus": "UNAPPROVED",
    }


def _structures(headers: Sequence[Any], names: Mapping[int, str], contours: Contours) -> Content:
    """Return the attributes that name the structures, and hold their contours and what these refer to."""
    frame = headers[0].FrameOfReferenceUID
    images = [_reference(header) for header in headers]
    series = {"SeriesInstanceUID": headers[0].SeriesInstanceUID, "ContourImageSequence": images}
    study = {
        "ReferencedSOPClassUID": STUDY,
        "ReferencedSOPInstanceUID": headers[0].StudyInstanceUID,
        "RTReferencedSeriesSequence": [series],
    }
    return {
        "ReferencedFrameOfReferenceSequence": [{"FrameOfReferenceUID": frame, "RTReferencedStudySequence": [study]}],
        "StructureSetROISequence": [
            {
                "ROINumber": value,
                "ReferencedFrameOfReferenceUID": frame,
                "ROIName": name[:64],
                "ROIGenerationAlgorithm": "AUTOMATIC",
            }
            for value, name in names.items()
        ],
        "ROIContourSequence": [
            {"ReferencedROINumber": value, "ROIDisplayColor": _color(index), **_contour_items(contours, value, images)}
            for index, value in enumerate(names)
        ],
        "RTROIObservationsSequence": [
            {"ObservationNumber": value, "ReferencedROINumber": value, "RTROIInterpretedType": "", "ROIInterpreter": ""}
            for value in names
        ],
    }


def _contour_items(contours: Contours, value: int, images: Sequence[Content]) -> Content:
    """Return the contours of one structure; without voxels it has none, not an empty sequence."""
    items = [
        {
            "ContourImageSequence": [images[index]],
            "ContourGeometricType": "CLOSED_PLANAR",
            "NumberOfContourPoints": len(points),
            "ContourNumber": number,
            "ContourData": [f"{coordinate:.6f}" for coordinate in points.ravel()],
        }
        for number, (index, points) in enumerate(contours.get(value, []), start=1)
    ]
    return {"ContourSequence": items} if items else {}


def _reference(header: Any) -> Content:
    return {"ReferencedSOPClassUID": header.SOPClassUID, "ReferencedSOPInstanceUID": header.SOPInstanceUID}


def _color(index: int) -> list[int]:
    """Return the color of a structure, red, green and blue from 0 to 255; neighbors differ in hue."""
    return [round(255 * share) for share in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.7, 1)]


def _dataset(content: Content, kind: Any) -> Any:
    dataset = kind()
    for name, value in content.items():
        items = [_dataset(item, kind) for item in value] if name.endswith("Sequence") else value
        setattr(dataset, name, items)
    return dataset
