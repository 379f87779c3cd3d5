"""Handlers of a training: checkpoints, schedules, guards, progress."""

from .averaged_weights import WeightAverage
from .checkpoint import TrainingCheckpoint
from .early_stop import EarlyStop
from .epoch_seed import EpochSeed
from .loader import TrainingLoader
from .model_record import ModelRecord
from .non_finite_guard import NonFiniteError, NonFiniteGuard
from .process_shares import ProcessSampler, SameBuffers, share_loader, start_processes
from .progress import Progress
from .publish import PublishWeights
from .reweighting import ClassReweighting
from .schedule import WarmupSchedule
from .training_log import TrainingLog
from .training_settings import TrainingSettings, TrainingSettingsError

__all__ = [
    "ClassReweighting",
    "EarlyStop",
    "EpochSeed",
    "ModelRecord",
    "NonFiniteError",
    "NonFiniteGuard",
    "ProcessSampler",
    "Progress",
    "PublishWeights",
    "SameBuffers",
    "TrainingCheckpoint",
    "TrainingLoader",
    "TrainingLog",
    "TrainingSettings",
    "TrainingSettingsError",
    "WarmupSchedule",
    "WeightAverage",
    "share_loader",
    "start_processes",
]
