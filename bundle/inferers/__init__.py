"""Inferers that configs name."""

from .autocast import AutocastInferer
from .plan import PlannedInferer
from .slab import SlabInferer
from .slab_batch import SlabBatchInferer

__all__ = ["AutocastInferer", "PlannedInferer", "SlabBatchInferer", "SlabInferer"]
