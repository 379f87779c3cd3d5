"""DICOM segmentation objects of the types BINARY and LABELMAP, through highdicom.

Standard: DICOM PS3.3, A.51 and C.8.20; type LABELMAP is of Supplement 243 (2024). Structures carry a code of this
project's own scheme, ``99KEYSLICE``, since their names are the user's; its value is that of ``label_names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bundle import __version__

from .dicom import Series
from .dicom_references import UTF_8, names_by_value, source_headers
from .itk import require

SegmentationType = Literal["BINARY", "LABELMAP"]

TRANSFER_SYNTAX = {"BINARY": "1.2.840.10008.1.2.1", "LABELMAP": "1.2.840.10008.1.2.5"}
"""Encoding by type, both lossless and read by dcmqi 1.5.7: Explicit VR Little Endian without compression, and RLE."""


def write_dicom_seg(
    labels: np.ndarray,
    target: Path,
    series: Series,
    label_names: Mapping[str, int],
    *,
    segmentation_type: SegmentationType = "BINARY",
) -> None:
    """Write a label map as DICOM SEG; frames without labels are omitted.

    The segments of type BINARY are numbered from 1 without gaps, as DICOM requires. Those of type LABELMAP have the
    values of ``label_names`` as numbers.

    Args:
        labels: label map ``(D, H, W)``, uint8 or uint16, on the grid of the series.
        target: file to write.
        series: series that was segmented; patient, study and frame of reference are taken from it.
        label_names: value of every structure by its name.
        segmentation_type: ``"BINARY"``, one bit per voxel and structure, which most programs read, or ``"LABELMAP"``.

    Raises:
        ValueError: when the labels need more than 16 bits.
    """
    if labels.dtype.itemsize > 2:
        raise ValueError(f"label_names must have values up to 65535 for DICOM SEG, got {max(label_names.values())}.")
    names = names_by_value(labels, label_names)
    numbers = {value: value for value in names}
    if segmentation_type == "BINARY":
        numbers = {value: number for number, value in enumerate(names, start=1)}
        labels = _renumbered(labels, numbers)
    uid = require("highdicom", target).UID
    written = require("highdicom.seg", target).Segmentation(
        source_images=source_headers(series),
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=segmentation_type,
        segment_descriptions=[_description(target, numbers[value], value, name) for value, name in names.items()],
        series_instance_uid=uid(),
        series_number=1000,
        sop_instance_uid=uid(),
        instance_number=1,
        manufacturer="keyslice",
        manufacturer_model_name="keyslice",
        software_versions=__version__,
        device_serial_number="0",
        transfer_syntax_uid=TRANSFER_SYNTAX[segmentation_type],
        series_description="keyslice segmentation",
        specific_character_set=UTF_8,
    )
    written.save_as(str(target))


def _renumbered(labels: np.ndarray, numbers: Mapping[int, int]) -> np.ndarray:
    table = np.zeros(max(numbers) + 1, np.min_scalar_type(len(numbers)))
    table[list(numbers)] = list(numbers.values())
    return table[labels]


def _description(target: Path, number: int, value: int, name: str) -> Any:
    codes = require("highdicom.sr", target).CodedConcept
    algorithm = require("highdicom", target).AlgorithmIdentificationSequence(
        name="keyslice", version=__version__, family=codes("123109", "DCM", "Artificial Intelligence")
    )
    return require("highdicom.seg", target).SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=codes("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=codes(str(value), "99KEYSLICE", name[:64]),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
    )
