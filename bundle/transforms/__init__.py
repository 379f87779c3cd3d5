"""Transforms that configs name: checked loading, resampling, the way back, writing of results."""

from .background import BackgroundWriter
from .checks import BadInputError
from .class_probability import ClassProbabilityd
from .disc_augment import RandFieldOfViewd, RandIntensityMapd
from .disc_decode import DecodeDiscsd
from .disc_points import LoadDiscPointsd
from .disc_targets import DiscTargetsd
from .load import LoadVolumed
from .load_image import LoadPictured
from .picture_augment import PictureAugmentd
from .rand_color import RandColord
from .resample import Resampled
from .resize_picture import ResizePictured
from .sagittal_slab import RandSagittalSlabd, SagittalSlabd, SagittalSlabsd
from .save import SaveCased
from .save_discs import SaveDiscsd
from .save_picture import OriginalSized, SavePictured
from .scale_crops import RandScaleCropd
from .standardize import Standardized
from .way_back import OriginalGrid, OriginalGridd

__all__ = [
    "BackgroundWriter",
    "BadInputError",
    "ClassProbabilityd",
    "DecodeDiscsd",
    "DiscTargetsd",
    "LoadDiscPointsd",
    "LoadPictured",
    "LoadVolumed",
    "OriginalGrid",
    "OriginalGridd",
    "OriginalSized",
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
    "SaveDiscsd",
    "SavePictured",
    "Standardized",
]
