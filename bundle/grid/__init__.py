"""Resampling, and restoring the original grid of a file."""

from .original_grid import LabelMapAssembler, RestoreGridd, SplitConfidenceMapsd
from .resample import ResampleSpacingd

__all__ = [
    "LabelMapAssembler",
    "ResampleSpacingd",
    "RestoreGridd",
    "SplitConfidenceMapsd",
]
