"""Transforms of intensities and labels."""

from functools import partial

from bundle.deprecated_names import deprecated_name

from .dilate_labels import DilateLabelsd
from .foreground_crop import FindForegroundd, RandForegroundCropd
from .nested_regions import NestedRegions
from .rand_cut_field_of_view import RandCutFieldOfViewd
from .rand_flip_sides import RandFlipSidesd
from .rand_intensity_map import RandIntensityMapd
from .rand_remove_labels import RandRemoveLabelsd
from .rand_slice_thickness import RandSliceThicknessd
from .standardize import NormalizeContentd, StandardizeIntensityd
from .structure_masks import MakeStructureMasksd
from .synthesize_image import SynthesizeImaged

__all__ = [
    "DilateLabelsd",
    "FindForegroundd",
    "MakeStructureMasksd",
    "NestedRegions",
    "NormalizeContentd",
    "RandCutFieldOfViewd",
    "RandFlipSidesd",
    "RandForegroundCropd",
    "RandIntensityMapd",
    "RandRemoveLabelsd",
    "RandSliceThicknessd",
    "StandardizeIntensityd",
    "SynthesizeImaged",
]

__getattr__ = partial(deprecated_name, "transforms")
