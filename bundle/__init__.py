"""Keyslice: a MONAI bundle for attention-based medical image segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__version__ = "0.2.0"

ROOT = str(Path(__file__).resolve().parent.parent)
"""The bundle root: the folder that holds ``configs/``, ``models/`` and this package."""


def __getattr__(name: str) -> Any:
    """Lead the names of version 0.1 to their new places."""
    from .deprecated_names import deprecated_name

    return deprecated_name("", name)
