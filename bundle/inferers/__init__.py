"""Inferers that configs name."""

from .autocast import AutocastInferer
from .crop_average import CropAverageInferer
from .picture_tiles import PictureTilesInferer
from .plan import PlannedInferer
from .slab import SlabInferer
from .slab_batch import SlabBatchInferer

__all__ = [
    "AutocastInferer",
    "CropAverageInferer",
    "PictureTilesInferer",
    "PlannedInferer",
    "SlabBatchInferer",
    "SlabInferer",
]
