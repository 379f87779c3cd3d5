"""Handlers that configs name."""

from .case_metrics import CaseMetrics
from .checkpoint import TrainingCheckpoint
from .classification_metrics import ClassificationMetrics, pool_scores
from .disc_metrics import DiscMetrics
from .early_stop import EarlyStop
from .guard import NonFiniteError, NonFiniteGuard
from .job_progress import JobProgress
from .picture_metrics import PictureMetrics
from .progress import Progress
from .publish import PublishWeights
from .reweighting import ClassReweighting
from .schedule import WarmupSchedule
from .seed import EpochSeed
from .stop import CleanStop, Stopped
from .summary import RunSummary

__all__ = [
    "CaseMetrics",
    "ClassReweighting",
    "ClassificationMetrics",
    "CleanStop",
    "DiscMetrics",
    "EarlyStop",
    "EpochSeed",
    "JobProgress",
    "NonFiniteError",
    "NonFiniteGuard",
    "PictureMetrics",
    "Progress",
    "PublishWeights",
    "RunSummary",
    "Stopped",
    "TrainingCheckpoint",
    "WarmupSchedule",
    "pool_scores",
]
