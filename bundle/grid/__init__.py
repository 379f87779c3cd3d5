"""Cropping, resampling, and restoring the original grid of a file."""

from .crop_border import CropConstantBorderd
from .original_grid import LabelMapAssembler, RestoreGridd, SplitConfidenceMapsd
from .resample import ResampleSpacingd

__all__ = [
    "CropConstantBorderd",
    "LabelMapAssembler",
    "ResampleSpacingd",
    "RestoreGridd",
    "SplitConfidenceMapsd",
]
