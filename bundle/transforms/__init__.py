"""Transforms of intensities and labels."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .nested_regions import NestedRegions
from .standardize import StandardizeIntensityd
from .structure_masks import MakeStructureMasksd

__all__ = [
    "MakeStructureMasksd",
    "NestedRegions",
    "StandardizeIntensityd",
]

__getattr__ = partial(deprecated_name, "transforms")
