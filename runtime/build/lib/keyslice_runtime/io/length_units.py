"""Units of length in the headers of volumes: affines are converted to mm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class LengthUnit(NamedTuple):
    """A unit of length.

    Attributes:
        name: name for the user.
        millimeters: its length in mm.
    """

    name: str
    millimeters: float

    def convert(self, affine: np.ndarray) -> np.ndarray:
        """Return an affine in this unit as one in mm."""
        if self.millimeters == 1:
            return affine
        return np.diag([*[self.millimeters] * 3, 1.0]) @ np.asarray(affine, dtype=np.float64)

    def remarks(self) -> list[str]:
        """Return what the conversion means for the user, as sentences."""
        return [] if self.millimeters == 1 else [f"converted to mm from {self.name}, the unit of its header"]


MILLIMETER = LengthUnit("millimeters", 1.0)
METER = LengthUnit("meters", 1e3)
CENTIMETER = LengthUnit("centimeters", 10.0)
MICROMETER = LengthUnit("micrometers", 1e-3)
NANOMETER = LengthUnit("nanometers", 1e-6)

NIFTI_CODES = {1: METER, 3: MICROMETER}
"""Units by the lowest three bits of ``xyzt_units``; 2 is mm, and 0 names no unit."""

NAMES = {
    **dict.fromkeys(("", "none", "unknown", "?", "???", "mm", "millimeter", "millimetre"), MILLIMETER),
    **dict.fromkeys(("m", "meter", "metre"), METER),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), CENTIMETER),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "micrometer", "micrometre"), MICROMETER),
    **dict.fromkeys(("\u00e2\u00b5m", "\u00ee\u00bcm"), MICROMETER),  # the Greek letter in UTF-8, read as Latin-1
    **dict.fromkeys(("nm", "nanometer", "nanometre"), NANOMETER),
}
"""Units by their names; without a name, lengths are in mm."""


def nifti_unit(header: Any) -> LengthUnit:
    """Return the unit of length of a NIfTI header; mm if it names none."""
    return NIFTI_CODES.get(int(header["xyzt_units"]) & 7, MILLIMETER)


def nifti_affine(image: Any) -> np.ndarray:
    """Return the affine of a NIfTI image in mm.

    Examples:
        >>> import nibabel
        >>> image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([0.001, 0.001, 0.002, 1]))
        >>> image.header.set_xyzt_units("meter")
        >>> nifti_affine(image).diagonal().round(6).tolist()
        [1.0, 1.0, 2.0, 1.0]
    """
    affine: np.ndarray = nifti_unit(image.header).convert(image.affine)
    return affine


def named_unit(name: str) -> LengthUnit | None:
    """Return the unit of a name such as ``"mm"`` or ``"microns"``; None if it is unknown."""
    key = name.strip().lower()
    return NAMES.get(key, NAMES.get(key.removesuffix("s")))
