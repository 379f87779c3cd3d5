"""Colors of structures."""

from __future__ import annotations

COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")
"""The palette of Okabe and Ito, which people with color vision deficiency can distinguish; it repeats."""
