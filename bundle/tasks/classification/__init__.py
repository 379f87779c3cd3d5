"""Classification of 2D color images."""

from .class_probability import ComputeClassProbabilityd
from .class_tables import ClassTables
from .classification_handler import ClassificationMetrics, pool_scores
from .crop_average import CropAverageInferer
from .curves import CurvePlots, draw_curves
from .load_class_scores import LoadClassScores
from .save_classes import SaveClassesd
from .scale_crops import RandScaleCropd

__all__ = [
    "ClassTables",
    "ClassificationMetrics",
    "ComputeClassProbabilityd",
    "CropAverageInferer",
    "CurvePlots",
    "LoadClassScores",
    "RandScaleCropd",
    "SaveClassesd",
    "draw_curves",
    "pool_scores",
]
