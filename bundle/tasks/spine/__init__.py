"""Labeling of intervertebral discs: transforms, metrics, figures, datasets."""

from .disc_augment import RandFieldOfViewd
from .disc_decode import DecodeDiscsd
from .disc_figures import save_disc_figure
from .disc_metrics import DISC_METRICS, LEVEL_METRICS, DiscComparison, compare_discs, match_points
from .disc_metrics_handler import DiscMetrics
from .disc_response import DiscResponsed
from .disc_statistics import pooled_interval, summarize_discs
from .disc_targets import MakeDiscTargetsd
from .load_disc_points import LoadDiscPointsd
from .original_disc_metrics import ORIGINAL_METRICS, OriginalErrors, original_errors, original_summary
from .required_levels import require_levels
from .sagittal_slab import RandSagittalSlabd, SagittalSlabd, SagittalSlabsd
from .save_discs import SaveDiscsd
from .save_figure import SaveDiscFigured
from .slab_batch import SlabBatchInferer
from .training_gif import TrainingGif

__all__ = [
    "DISC_METRICS",
    "LEVEL_METRICS",
    "ORIGINAL_METRICS",
    "DecodeDiscsd",
    "DiscComparison",
    "DiscMetrics",
    "DiscResponsed",
    "LoadDiscPointsd",
    "MakeDiscTargetsd",
    "OriginalErrors",
    "RandFieldOfViewd",
    "RandSagittalSlabd",
    "SagittalSlabd",
    "SagittalSlabsd",
    "SaveDiscFigured",
    "SaveDiscsd",
    "SlabBatchInferer",
    "TrainingGif",
    "compare_discs",
    "match_points",
    "original_errors",
    "original_summary",
    "pooled_interval",
    "require_levels",
    "save_disc_figure",
    "summarize_discs",
]
