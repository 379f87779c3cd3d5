"""Inferers that configs name."""

from .autocast import AutocastInferer
from .plan import PlannedInferer
from .slab import SlabInferer

__all__ = ["AutocastInferer", "PlannedInferer", "SlabInferer"]
