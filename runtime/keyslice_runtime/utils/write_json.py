"""JSON files, written atomically."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic_write import atomic_write


def write_json(path: str | Path, content: Any, *, indent: int = 2) -> None:
    """Write ``content`` as JSON, complete or not at all; NaN and infinity, which JSON does not have, become null.

    Args:
        path: file to write; its folder is created when missing.
        content: plain values, lists and dictionaries.
        indent: spaces of each level.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(content), indent=indent)
    with atomic_write(Path(path)) as file:
        file.write_text(text + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Return a value with None for NaN and infinity, at any depth."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
