"""Regions of nnU-Net, labels that consist of several values, as classes and nested regions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from bundle.utils.label_names import BACKGROUND, IGNORE

from .datalist_file import DatalistError


def has_regions(labels: Any) -> bool:
    """Return whether a label of a ``dataset.json`` has several values."""
    return isinstance(labels, Mapping) and any(isinstance(values, list) for values in labels.values())


def describe_regions(path: Path, labels: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return the table of classes and the regions, the largest first, that the labels of nnU-Net amount to.

    A class is what a region has in addition to the next smaller one: of ``{"whole": [1, 2, 3], "core": [2, 3]}`` the
    classes are ``whole_without_core`` (1) and ``core`` (2 and 3).

    Args:
        path: the ``dataset.json``, for errors.
        labels: its ``labels``.

    Returns:
        ``label_values``, and the classes, counted from 1, of every region.

    Raises:
        DatalistError: when values are not integers, or the regions are not nested.

    Examples:
        >>> describe_regions(Path("dataset.json"), {"background": 0, "whole": [1, 2, 3], "core": [2, 3]})
        ({'whole_without_core': [1], 'core': [2, 3]}, {'whole': [1, 2], 'core': [2]})
    """
    values = {name: {each} if isinstance(each, int) else set(each) for name, each in labels.items()}
    if not all(isinstance(value, int) for numbers in values.values() for value in numbers):
        raise DatalistError(f"{path}: has the labels {dict(labels)!r}; the values must be integers.")
    regions = {name: numbers for name, numbers in values.items() if name not in (BACKGROUND, IGNORE)}
    names = sorted(regions, key=lambda name: len(regions[name]), reverse=True)
    for outer, inner in pairwise(names):
        if not regions[inner] < regions[outer]:
            raise DatalistError(
                f"{path}: the region {inner!r} is not a part of {outer!r}, and only nested regions are trained "
                "together; name exclusive structures in a table, with python -m bundle prepare msd --labels FILE."
            )
    table: dict[str, Any] = {
        f"{outer}_without_{inner}": sorted(regions[outer] - regions[inner]) for outer, inner in pairwise(names)
    }
    table[names[-1]] = sorted(regions[names[-1]])
    if IGNORE in values:
        table[IGNORE] = sorted(values[IGNORE])
    count = len(names)
    return table, {name: list(range(place, count + 1)) for place, name in enumerate(names, start=1)}
