"""Handlers that configs name."""

from .case_metrics import CaseMetrics
from .checkpoint import TrainingCheckpoint
from .early_stop import EarlyStop
from .guard import NonFiniteError, NonFiniteGuard
from .progress import Progress
from .schedule import WarmupSchedule
from .seed import EpochSeed
from .summary import RunSummary

__all__ = [
    "CaseMetrics",
    "EarlyStop",
    "EpochSeed",
    "NonFiniteError",
    "NonFiniteGuard",
    "Progress",
    "RunSummary",
    "TrainingCheckpoint",
    "WarmupSchedule",
]
