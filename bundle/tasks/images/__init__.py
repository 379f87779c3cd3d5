"""Segmentation of 2D color images, such as skin lesions and cells."""

from .image_augment import AugmentImaged
from .image_metrics_handler import ImageMetrics
from .image_table import ImageTables
from .image_tiles import ImageTilesInferer
from .mask_response import MaskResponsed
from .pack_image import PackImaged, UnpackImaged
from .preview import save_preview
from .rand_color import RandColord
from .resize_image import ResizeImaged
from .save_mask import RestoreImageSized, SaveMaskd

__all__ = [
    "AugmentImaged",
    "ImageMetrics",
    "ImageTables",
    "ImageTilesInferer",
    "MaskResponsed",
    "PackImaged",
    "RandColord",
    "ResizeImaged",
    "RestoreImageSized",
    "SaveMaskd",
    "UnpackImaged",
    "save_preview",
]
