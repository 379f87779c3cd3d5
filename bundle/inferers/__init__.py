"""Inferers that configs name."""

from .autocast import AutocastInferer
from .slab import SlabInferer

__all__ = ["AutocastInferer", "SlabInferer"]
