"""Rounding of label values that are a rounding step off integers, as scaled and floating-point files hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import torch

from .volume_files import kind_of

PRECISION = 1e-5
"""Relative error of a value that single precision explains, with some arithmetic."""

LARGEST = 0.25
"""Largest distance from an integer that the scaling of a file may explain."""

SHOWN = 8
"""Largest number of values in a message."""


def round_labels(file: str | Path, values: torch.Tensor) -> tuple[torch.Tensor, str]:
    """Round the values that are as far off an integer as the file explains.

    nibabel stores an array of floating-point labels in an integer file with a scaling (``scl_slope``): a value is
    then up to half a step of it off.

    Args:
        file: where the values come from.
        values: label map of floating-point type, finite.

    Returns:
        The values, with all others as they are, and a remark; it is empty where nothing was rounded.
    """
    whole = values.round()
    off = (values - whole).abs()
    explained = (off > 0) & (off <= (_half_step(file) + PRECISION * whole.abs().clamp(min=1)))
    if not explained.any():
        return values, ""
    farthest = float(off[explained].max())
    return torch.where(explained, whole, values), f"rounded label values that were up to {farthest:.2g} off integers"


def describe_values(values: torch.Tensor) -> tuple[str, bool]:
    """Return the different values, with as many digits as tell them from integers, and whether some are fractions."""
    found = torch.unique(values)
    shown = ", ".join(_digits(value) for value in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    return shown, bool((found != found.round()).any())


def _half_step(file: str | Path) -> float:
    """Return half of a step of the scaling of a NIfTI file; 0 where there is none."""
    if kind_of(file) != "nifti":
        return 0.0
    image: Any = nib.load(file)
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    is_scaled = (slope, intercept) != (1, 0) and abs(slope) < 1
    return min(abs(float(slope)) / 2 * (1 + 1e-3), LARGEST) if is_scaled else 0.0


def _digits(value: torch.Tensor) -> str:
    number = float(value)
    short = f"{number:g}"
    is_hidden = float(short).is_integer() and not number.is_integer()
    return str(value.detach().cpu().numpy()[()]) if is_hidden else short
