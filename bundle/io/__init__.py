"""Reading and writing of volumes, images and label tables, with validation of the input."""

from .dicom_frames import split_frames
from .input_checks import BadInputError
from .load_image import LoadColorImaged
from .load_prediction import LoadLabelMaps, LoadMasks
from .load_volume import LoadVolumed

__all__ = [
    "BadInputError",
    "LoadColorImaged",
    "LoadLabelMaps",
    "LoadMasks",
    "LoadVolumed",
    "split_frames",
]
