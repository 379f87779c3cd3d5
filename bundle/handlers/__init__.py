"""Handlers that configs name."""

from .case_metrics import CaseMetrics
from .checkpoint import TrainingCheckpoint
from .disc_metrics import DiscMetrics
from .early_stop import EarlyStop
from .guard import NonFiniteError, NonFiniteGuard
from .job_progress import JobProgress
from .progress import Progress
from .schedule import WarmupSchedule
from .seed import EpochSeed
from .stop import CleanStop, Stopped
from .summary import RunSummary

__all__ = [
    "CaseMetrics",
    "CleanStop",
    "DiscMetrics",
    "EarlyStop",
    "EpochSeed",
    "JobProgress",
    "NonFiniteError",
    "NonFiniteGuard",
    "Progress",
    "RunSummary",
    "Stopped",
    "TrainingCheckpoint",
    "WarmupSchedule",
]
