"""Label maps as NIfTI images."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np

from keyslice_runtime import __version__


def nifti_labels(labels: np.ndarray, affine: np.ndarray, reference: Any) -> nib.Nifti1Image:
    """Return a NIfTI image with the geometry of the NIfTI image ``reference`` or, where it is None, with ``affine``."""
    if reference is None:
        image = nib.Nifti1Image(labels, None)
        image.header.set_sform(affine, code="scanner")
        image.header.set_qform(affine, code="scanner")
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = f"keyslice {__version__}".encode()
        return image
    header = reference.header.copy()
    header.set_data_dtype(labels.dtype)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    header["descrip"] = f"keyslice {__version__}".encode()
    return type(reference)(labels, None, header)
