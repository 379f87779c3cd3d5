"""Blocks that several networks are built from."""

from .norm import GroupedInstanceNorm

__all__ = [
    "GroupedInstanceNorm",
]
