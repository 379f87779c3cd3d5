"""DICOM segmentation objects of the label map type, through highdicom.

Standard: DICOM PS3.3, A.51 and C.8.20, Segmentation Type LABELMAP (Supplement 243). Structures carry a code of this
project's own scheme, ``99KEYSLICE``, since their names are the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundle import __version__
from bundle.utils.label_names import structures_of

from .dicom import Series, slice_files
from .itk import require

NEEDED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "ReferringPhysicianName"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber"),
)
"""Attributes that DICOM wants in every image, empty where nothing is known."""

JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"


def write_dicom_seg(labels: np.ndarray, target: Path, series: Series, label_names: Mapping[str, int]) -> None:
    """Write a label map as DICOM SEG; frames without labels are omitted, voxels are compressed without loss.

    Args:
        labels: label map ``(D, H, W)``, uint8 or uint16, on the grid of the series.
        target: file to write.
        series: series that was segmented; patient, study and frame of reference are taken from it.
        label_names: value of every structure by its name.

    Raises:
        ValueError: when the labels need more than 16 bits.
    """
    if labels.dtype.itemsize > 2:
        raise ValueError(f"label_names must have values up to 65535 for DICOM SEG, got {max(label_names.values())}.")
    seg, uid = require("highdicom.seg", target), require("highdicom", target).UID
    codes = require("highdicom.sr", target).CodedConcept
    algorithm = require("highdicom", target).AlgorithmIdentificationSequence(
        name="keyslice", version=__version__, family=codes("123109", "DCM", "Artificial Intelligence")
    )
    descriptions = [
        seg.SegmentDescription(
            segment_number=value,
            segment_label=name,
            segmented_property_category=codes("123037004", "SCT", "Anatomical Structure"),
            segmented_property_type=codes(str(value), "99KEYSLICE", name[:64]),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for name, value in sorted(structures_of(label_names).items(), key=lambda item: item[1])
    ]
    written = seg.Segmentation(
        source_images=_sources(series),
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type="LABELMAP",
        segment_descriptions=descriptions,
        series_instance_uid=uid(),
        series_number=1000,
        sop_instance_uid=uid(),
        instance_number=1,
        manufacturer="keyslice",
        manufacturer_model_name="keyslice",
        software_versions=__version__,
        device_serial_number="0",
        transfer_syntax_uid=JPEG_LS_LOSSLESS,
        series_description="keyslice segmentation",
    )
    written.save_as(str(target))


def _sources(series: Series) -> list[Any]:
    """Return the headers of the slices in order, with all that highdicom copies."""
    pydicom = require("pydicom", series.source)
    with slice_files(series) as files:
        headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    for header in headers:
        for name in NEEDED:
            if name not in header:
                setattr(header, name, "")
        if header.get("SliceThickness") is None:
            header.SliceThickness = round(float(np.linalg.norm(series.affine[:3, 2])), 6)
    return headers
