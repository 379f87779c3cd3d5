"""Atomic writing of files: a reader sees a file complete or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial_"
"""How the name of a file begins that is being written."""


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a path to write to and rename that file to ``target`` at the end.

    No other process, on this machine or another, is given the same path.
    """
    partial = target.with_name(f"{PARTIAL}{uuid.uuid4().hex[:12]}_{target.name}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def atomic_copy(source: Path, target: Path) -> None:
    """Copy a file to ``target`` atomically, flushed to the disk; a file there is replaced."""
    with atomic_write(target) as partial:
        shutil.copyfile(source, partial)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
