"""``python -m bundle prepare NAME DIR`` and ``skeleton DIR``: what a training needs, from a dataset or from nothing."""

from __future__ import annotations

from typing import Any

from .prepare_images import add_pictures
from .prepare_phantoms import add_phantoms
from .prepare_spine import add_skeleton, add_spine
from .prepare_volumes import add_volumes

__all__ = ["add_prepare", "add_skeleton"]


def add_prepare(commands: Any) -> None:
    """Add ``prepare`` with one command a dataset to the commands of ``python -m bundle``."""
    parser = commands.add_parser("prepare", help="write the datalist of a dataset: its cases, test set and folds")
    names = parser.add_subparsers(dest="dataset", required=True, metavar="NAME")
    add_volumes(names)
    add_phantoms(names)
    add_spine(names)
    add_pictures(names)
