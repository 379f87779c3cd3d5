"""Types of options that name what a command writes: a path that cannot be written is refused before any work."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def output_file(text: str) -> str:
    """Return the path of a file to write.

    Raises:
        argparse.ArgumentTypeError: when it is a folder, or its folder cannot be made or written to.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder; name a file in it")
    _check_parent(path)
    return text


def output_folder(text: str) -> str:
    """Return the path of a folder to write to.

    Raises:
        argparse.ArgumentTypeError: when it is a file, or cannot be made or written to.
    """
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a file; name a folder")
    _check_parent(path / "file")
    return text


def _check_parent(path: Path) -> None:
    """Check that the nearest folder above a path that exists is a folder that can be written to."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: lies below {parent}, which is a file; name a path in a folder")
    if not os.access(parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path}: cannot be written, since {parent} is read-only; name another path")
