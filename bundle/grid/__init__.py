"""Resampling, and restoring the original grid of a file."""

from .original_grid import GridAssembler, RestoreGridd
from .resample import ResampleSpacingd

__all__ = [
    "GridAssembler",
    "ResampleSpacingd",
    "RestoreGridd",
]
