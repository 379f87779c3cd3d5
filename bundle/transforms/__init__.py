"""Transforms that configs name: checked loading, resampling, writing of results."""

from .checks import BadInputError
from .load import LoadVolumed
from .resample import Resampled
from .save import SaveCased
from .standardize import Standardized

__all__ = ["BadInputError", "LoadVolumed", "Resampled", "SaveCased", "Standardized"]
