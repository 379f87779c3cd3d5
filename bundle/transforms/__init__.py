"""Transforms that configs name: checked loading, resampling, the way back, writing of results."""

from .background import BackgroundWriter
from .checks import BadInputError
from .class_probability import ClassProbabilityd
from .disc_answer import DiscAnswerd
from .disc_augment import RandFieldOfViewd, RandIntensityMapd
from .disc_decode import DecodeDiscsd
from .disc_points import LoadDiscPointsd
from .disc_targets import DiscTargetsd
from .load import LoadVolumed
from .load_image import LoadPictured
from .nested_regions import NestedRegions
from .picture_answer import PictureAnswerd
from .picture_augment import PictureAugmentd
from .rand_color import RandColord
from .resample import Resampled
from .resize_picture import ResizePictured
from .sagittal_slab import RandSagittalSlabd, SagittalSlabd, SagittalSlabsd
from .save import SaveCased
from .save_classes import SaveClassesd
from .save_discs import SaveDiscsd
from .save_picture import OriginalSized, SavePictured
from .scale_crops import RandScaleCropd
from .standardize import Standardized
from .structure_masks import StructureMasksd
from .way_back import OriginalGrid, OriginalGridd

__all__ = [
    "BackgroundWriter",
    "BadInputError",
    "ClassProbabilityd",
    "DecodeDiscsd",
    "DiscAnswerd",
    "DiscTargetsd",
    "LoadDiscPointsd",
    "LoadPictured",
    "LoadVolumed",
    "NestedRegions",
    "OriginalGrid",
    "OriginalGridd",
    "OriginalSized",
    "PictureAnswerd",
    "PictureAugmentd",
    "RandColord",
    "RandFieldOfViewd",
    "RandIntensityMapd",
    "RandSagittalSlabd",
    "RandScaleCropd",
    "Resampled",
    "ResizePictured",
    "SagittalSlabd",
    "SagittalSlabsd",
    "SaveCased",
    "SaveClassesd",
    "SaveDiscsd",
    "SavePictured",
    "Standardized",
    "StructureMasksd",
]
