"""Comparison of attention mechanisms under one budget."""

from .comparison import compare
from .comparison_options import parse_attention

__all__ = [
    "compare",
    "parse_attention",
]
