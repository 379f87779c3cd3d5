"""Formats of the written label maps, and the check that a format fits an input before the network runs."""

from __future__ import annotations

from pathlib import Path

from monai.utils import optional_import

from .dicom import Series
from .input_checks import BadInputError

DICOM_PACKAGES = {"dicom_seg": "highdicom", "dicom_seg_labelmap": "highdicom", "rtstruct": "pydicom"}
"""Output formats that are DICOM objects, with the package of the extra ``dicom`` that writes them."""

ENDINGS = {"nii.gz": ".nii.gz", "nrrd": ".nrrd", "mha": ".mha", **dict.fromkeys(DICOM_PACKAGES, ".dcm")}
"""Endings of label maps by output format."""


class OutputFormatError(BadInputError):
    """The result of this input cannot be written in the output format."""


def check_output_format(source: str | Path, series: Series | None, output_format: str) -> None:
    """Check that the label map of an input can be written in an output format.

    Args:
        source: the input.
        series: its DICOM series; None for any other input.
        output_format: one of :data:`ENDINGS`.

    Raises:
        OutputFormatError: when a DICOM object is asked for, and the input is not a DICOM series, its slices lack what
            the object must refer to, or the package that writes it is not installed.
    """
    if output_format not in DICOM_PACKAGES:
        return
    package = DICOM_PACKAGES[output_format]
    if series is None:
        raise OutputFormatError(
            source,
            f"is not a DICOM series, which output_format {output_format} needs",
            "pass --output_format nii.gz, nrrd or mha, or the DICOM series of this volume",
        )
    if series.reference_faults:
        raise OutputFormatError(
            source,
            f"its slices {' and '.join(series.reference_faults)}, so that output_format {output_format} cannot refer "
            "to them",
            "export the original series from the archive, or pass --output_format nii.gz, nrrd or mha",
        )
    if not optional_import(package)[1]:
        raise OutputFormatError(
            source,
            f"output_format {output_format} needs the package {package}, which is not installed",
            "pip install 'keyslice[dicom]', or pass --output_format nii.gz",
        )
