"""Atomic writing of files: a reader sees a file complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Give a name to write to and rename that file at the end, so that no reader ever sees a part of ``target``."""
    partial = target.with_name(f".partial_{target.name}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
