"""The structures that label names name: neither the background nor nnU-Net's reserved label for unlabeled voxels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BACKGROUND = "background"

IGNORE = "ignore"
"""Name of the label of voxels that nobody labeled; nnU-Net reserves it, with the highest value."""

IGNORED = -1
"""Value of these voxels in a loaded label map. Losses and metrics leave them out."""


def structures_of(label_names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the structures, with their values, without the background (0) and :data:`IGNORE`.

    Args:
        label_names: value, or values of a region, of every structure by its name.

    Raises:
        ValueError: when a region contains the background, a value is not an integer of 0 or more, or no structure is
            left.

    Examples:
        >>> structures_of({"background": 0, "liver": 1, "ignore": 2})
        {'liver': 1}
    """
    structures = {name: values for name, values in label_names.items() if name != IGNORE and not _is_zero(name, values)}
    if not structures:
        raise ValueError(f"label_names must name a structure with a value of 1 or more, got {dict(label_names)}.")
    return structures


def ignored_value(label_names: Mapping[str, Any]) -> int | None:
    """Return the value of :data:`IGNORE`; None where the names have none.

    Raises:
        ValueError: when it is not the highest value, which nnU-Net requires.
    """
    if IGNORE not in label_names:
        return None
    value, others = label_names[IGNORE], [other for name, other in label_names.items() if name != IGNORE]
    if not _is_value(value) or any(value <= number for other in others for number in _numbers(other)):
        raise ValueError(f"'ignore' must have the highest value of all labels, got {dict(label_names)}.")
    return int(value)


def _is_zero(name: str, values: Any) -> bool:
    numbers = _numbers(values)
    if not numbers or not all(_is_value(number) for number in numbers):
        raise ValueError(f"label_names must have integers of 0 or more as values, got {values!r} for {name!r}.")
    if 0 in numbers and set(numbers) != {0}:
        raise ValueError(f"label_names: {name!r} has the values {values!r}, and 0 is the background; remove it.")
    return numbers[0] == 0


def _is_value(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _numbers(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]
