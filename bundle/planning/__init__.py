"""Plans of trainings: from the fingerprint of a dataset, the machine and the hours to an overlay."""

from .planner import plan_training

__all__ = ["plan_training"]
