"""Options of the command ``check``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.data.datalist_file import DatalistError


def parse_label_names(text: str | None) -> dict[str, int] | None:
    """Read the classes from JSON, or from a JSON file that has them under ``label_names``, such as a config.

    Raises:
        DatalistError: when it is neither.
    """
    if text is None:
        return None
    try:
        content = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatalistError(f"--label_names {text}: is neither JSON nor a JSON file ({error}).") from error
    names = content.get("label_names", content) if isinstance(content, Mapping) else None
    if not isinstance(names, Mapping) or not names or not all(type(value) is int for value in names.values()):
        raise DatalistError(f'--label_names {text}: holds no classes; pass them as {{"name": value}}.')
    return dict(names)


def check_levels(levels: Sequence[int]) -> None:
    """Raise a :class:`.DatalistError` unless gray levels increase from 1 or more to 255 or less."""
    if sorted({*levels, 0}) != [0, *levels] or levels[-1] > 255:
        raise DatalistError(f"--levels must be increasing gray levels from 1 to 255, got {list(levels)}.")


def check_workers(workers: int | None) -> None:
    """Raise a :class:`.DatalistError` unless a number of workers is positive or None."""
    if workers is not None and workers < 1:
        raise DatalistError(f"--workers must be 1 or more, got {workers}.")
