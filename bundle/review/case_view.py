"""Image and label map of a case, small enough for a page: the box around the structures, as uint8 NIfTI."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.io.load_volume import LoadVolumed
from bundle.utils.errors import BundleError

MARGIN_MM = 20.0
"""Distance that is shown around the structures."""

LARGEST = 4_000_000
"""Voxels that are shown; of a larger box, every second, third ... voxel along every axis."""

PERCENTILES = (0.5, 99.5)
"""Percentiles that are shown black and white."""


def view_of(image_file: str, label_file: Path) -> dict[str, str] | None:
    """Return image and label map as base64 of compressed NIfTI; None where they cannot be read or do not fit.

    Args:
        image_file: file of the image, or the files of its channels, separated by commas; the first is shown.
        label_file: label map on its grid.
    """
    first = image_file if Path(image_file).exists() else image_file.split(", ")[0]
    try:
        image = LoadVolumed("image", spacing_range=(1e-3, 1e3))({"image": first})["image"]
        labels: Any = nib.load(label_file)
        values, classes = image.as_tensor()[0].numpy(), np.asarray(labels.dataobj)
    except (BundleError, OSError, EOFError, nib.filebasedimages.ImageFileError):
        return None
    if values.shape != classes.shape:
        return None
    box, affine = _box(classes, np.asarray(labels.affine))
    shown, marked = values[box], classes[box]
    low, high = np.percentile(shown[np.isfinite(shown)], PERCENTILES) if np.isfinite(shown).any() else (0.0, 1.0)
    gray = np.nan_to_num((shown - low) / (high - low if high > low else 1)).clip(0, 1) * 255
    kind = np.min_scalar_type(int(classes.max()))
    return {"image": _encode(gray.astype(np.uint8), affine), "labels": _encode(marked.astype(kind), affine)}


def _box(classes: np.ndarray, affine: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the slices of what is shown, and the affine of the part."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = np.zeros(3, int), np.array(classes.shape)
    if classes.any():
        for axis in range(3):
            hits = np.flatnonzero(classes.any(axis=tuple(other for other in range(3) if other != axis)))
            margin = round(MARGIN_MM / float(spacing[axis]))
            low[axis], high[axis] = max(hits[0] - margin, 0), min(hits[-1] + 1 + margin, classes.shape[axis])
    step = int(np.ceil((np.prod(high - low) / LARGEST) ** (1 / 3)))
    part = affine.copy()
    part[:3, 3] += affine[:3, :3] @ low
    part[:3, :3] *= step
    return tuple(slice(start, stop, step) for start, stop in zip(low, high, strict=True)), part


def _encode(values: np.ndarray, affine: np.ndarray) -> str:
    content = nib.Nifti1Image(values, affine).to_bytes()
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
