"""Transforms that configs name: checked loading, resampling, the way back, writing of results."""

from .background import BackgroundWriter
from .checks import BadInputError
from .load import LoadVolumed
from .resample import Resampled
from .save import SaveCased
from .standardize import Standardized
from .way_back import OriginalGrid, OriginalGridd

__all__ = [
    "BackgroundWriter",
    "BadInputError",
    "LoadVolumed",
    "OriginalGrid",
    "OriginalGridd",
    "Resampled",
    "SaveCased",
    "Standardized",
]
