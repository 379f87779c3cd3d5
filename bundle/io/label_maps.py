"""Writing of label maps on the grid of their input, in every format."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.utils.atomic_write import atomic_write

from .dicom import Series, open_series
from .dicom_seg import write_dicom_seg
from .input_checks import GridMismatchError, grid_distance
from .itk import itk_grid, write_itk
from .length_units import nifti_affine
from .nifti_labels import nifti_labels
from .output_formats import ENDINGS, check_output_format
from .rtstruct import write_rtstruct
from .volume_files import kind_of

DICOM_WRITERS: dict[str, Any] = {
    "dicom_seg": write_dicom_seg,
    "dicom_seg_labelmap": partial(write_dicom_seg, segmentation_type="LABELMAP"),
    "rtstruct": write_rtstruct,
}
"""What writes the DICOM objects, by output format."""


def save_label_map(
    labels: np.ndarray,
    target: str | Path,
    *,
    source: str | Path,
    affine: np.ndarray,
    label_names: Mapping[str, int] | None = None,
    dicom_format: str = "dicom_seg",
) -> np.ndarray:
    """Write a label map with the geometry of the volume ``source``; return the voxel size in mm.

    Args:
        labels: integer label map ``(D, H, W)``.
        target: file to write; its ending, one of :data:`.output_formats.ENDINGS`, gives the format.
        source: volume whose grid the label map lies on.
        affine: affine that the label map claims to have.
        label_names: value of every structure by its name; needed for DICOM objects.
        dicom_format: output format of a target that ends with ``.dcm``.

    Raises:
        GridMismatchError: when shape or affine are not those of ``source``.
        OutputFormatError: when a DICOM object is asked for, and ``source`` is not a DICOM series that it can refer to.
    """
    target = Path(target)
    shape, grid, series, reference = _open_source(source)
    if labels.shape != shape or grid_distance(grid, affine, shape) > 1e-3:
        raise GridMismatchError(
            target,
            f"the result {labels.shape} is not on the grid of its input {shape}",
            "report this as a fault of the bundle",
        )
    is_dicom_object = target.name.endswith(ENDINGS["dicom_seg"])
    if is_dicom_object:
        check_output_format(source, series, dicom_format)
    with atomic_write(target) as file:
        if target.name.endswith(ENDINGS["nii.gz"]):
            nib.save(nifti_labels(labels, grid, reference), file)
        elif is_dicom_object:
            DICOM_WRITERS[dicom_format](labels, file, series, label_names or {})
        else:
            write_itk(labels, file, grid)
    return np.linalg.norm(grid[:3, :3], axis=0)


def source_grid(source: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Return shape and affine of a volume of any format."""
    return _open_source(source)[:2]


def _open_source(source: str | Path) -> tuple[tuple[int, ...], np.ndarray, Series | None, Any]:
    """Return shape and affine of a volume, its DICOM series, and its NIfTI image, where it is one."""
    kind = kind_of(source)
    if kind == "nifti":
        reference: Any = nib.load(source)
        return tuple(reference.shape[:3]), nifti_affine(reference), None, reference
    if kind == "dicom":
        series = open_series(source)
        return series.shape, series.affine, series, None
    return *itk_grid(source), None, None
