"""Keyslice: a MONAI bundle for attention-based medical image segmentation."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"

ROOT = str(Path(__file__).resolve().parent.parent)
"""The bundle root: the folder that holds ``configs/``, ``models/`` and this package."""
