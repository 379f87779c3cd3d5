"""Keyslice: a MONAI bundle for attention-based medical image segmentation."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from .deprecated_modules import MODULES, PACKAGES, MovedModuleFinder

__version__ = "0.2.0"

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED_ROOT = _PACKAGE / "_root"

ROOT = str(_INSTALLED_ROOT if _INSTALLED_ROOT.is_dir() else _PACKAGE.parent)
"""The bundle root: the folder that holds ``configs/`` and ``models/``.

In a checkout and in a pack it is the folder next to this package; in an installed wheel it is inside this package.
"""


sys.meta_path.insert(0, MovedModuleFinder())


def __getattr__(name: str) -> Any:
    """Return a package of version 0.1 that is gone, whose names lead to their new places."""
    if name not in MODULES and name not in PACKAGES:
        raise AttributeError(f"module 'bundle' has no attribute {name!r}")
    return import_module(f"bundle.{name}")
