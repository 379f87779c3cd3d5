"""Check that the levels of a network are levels of the discs that it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bundle.data.datalist_file import Case, DatalistError

from .discs.disc_errors import DiscFileError
from .discs.disc_reader import read_discs
from .discs.levels import FIRST_LEVEL, LAST_LEVEL, LEVEL_NAMES, trained_level


def require_levels(data: Sequence[Case], *, first_level: int, level_count: int) -> Sequence[Case]:
    """Return the cases, some of which have a labeled disc among the levels; files are read up to the first one.

    Args:
        data: cases, whose labels are files of discs.
        first_level: number of the first level.
        level_count: number of levels.

    Raises:
        DatalistError: when the levels are not numbers of discs, or no labeled disc is among them.
    """
    last = first_level + level_count - 1
    levels = f"first_level {first_level} and level_count {level_count} mean the levels {first_level} to {last}"
    if not FIRST_LEVEL <= first_level <= last <= LAST_LEVEL:
        numbers = f"{FIRST_LEVEL} ({LEVEL_NAMES[FIRST_LEVEL]}) to {LAST_LEVEL} ({LEVEL_NAMES[LAST_LEVEL]})"
        raise DatalistError(f"{levels}, but discs have the numbers {numbers}; pass others.")
    found: set[int] = set()
    for case in data:
        values = _values(case)
        if values is None or any(first_level <= value <= last for value in values):
            return data
        found |= values
    if not found:
        return data
    listed = ", ".join(map(str, sorted(found)))
    raise DatalistError(f"{levels}, but the labeled discs have the numbers {listed}; pass --first_level {min(found)}.")


def _values(case: dict[str, Any]) -> set[int] | None:
    """Return the levels of a case that a network knows; None if they cannot be read, which loading reports."""
    try:
        levels = {trained_level(disc.value) for disc in read_discs(case["label"])}
    except DiscFileError:
        return None
    return {level for level in levels if level is not None}
