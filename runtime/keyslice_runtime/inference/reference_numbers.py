"""The numbers of a result against their distribution over the training cases: z-scores, and flags in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = dict[str, dict[str, float]]
"""Numbers of a result by structure, class, or :data:`DISCS`."""

DISCS = "discs"

LOW, HIGH, BOTH = "low", "high", "low or high"

SUSPICIOUS = {
    "volume_mm3": BOTH,
    "margin": LOW,
    "entropy": HIGH,
    "border_margin": LOW,
    "border_entropy": HIGH,
    "largest_share": LOW,
    "border_share": HIGH,
    "area_share": BOTH,
    "regions": HIGH,
    "mean_probability": LOW,
    "border_irregularity": HIGH,
    "probability": BOTH,
    "numbering_probability": LOW,
    "count": LOW,
    "confidence": LOW,
}
"""The numbers that are compared, and which of their values are suspicious."""

SMALLEST_SPREAD = {"volume_mm3": 1.0, "regions": 1.0, "count": 0.5}
"""Smallest standard deviation of a number that need not be a share; 0.01 of shares and probabilities."""

SPREAD_OF_TAIL = 1.645
"""Distance of the 5th and 95th percentiles from the median of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class NumberRange:
    """Distribution of one number over the training cases.

    Attributes:
        cases: number of results.
        low: 5th percentile.
        median: median.
        high: 95th percentile.
    """

    cases: int
    low: float
    median: float
    high: float

    def z_score(self, name: str, value: float) -> float:
        """Return the distance of a value from the median in standard deviations of its side of the distribution.

        Examples:
            >>> NumberRange(100, low=0.8, median=0.9, high=0.95).z_score("margin", 0.6)
            -4.94
        """
        side = self.high - self.median if value > self.median else self.median - self.low
        spread = max(side / SPREAD_OF_TAIL, SMALLEST_SPREAD.get(name, 0.01))
        return round((value - self.median) / spread, 2)


def result_numbers(result: Mapping[str, Any]) -> Numbers:
    """Return the numbers in the JSON of a case that are compared; those of both sides have the names of one.

    Examples:
        >>> result_numbers({"labels": {"cube": {"value": 1, "volume_mm3": 8.0, "margin": 0.9}}})
        {'cube': {'volume_mm3': 8.0, 'margin': 0.9}}
    """
    entries: dict[str, Mapping[str, Any]] = {**result.get("labels", {}), **result.get("classes", {})}
    if DISCS in result:
        entries[DISCS] = {**result, **_numbers_of_discs(result[DISCS])}
    found = {name: _comparable(entry) for name, entry in entries.items()}
    return {name: numbers for name, numbers in found.items() if numbers}


def _comparable(entry: Mapping[str, Any]) -> dict[str, float]:
    volumes = entry.get("component_volumes_mm3")
    share = {"largest_share": round(volumes[0] / sum(volumes), 4)} if volumes else {}
    return {
        name: float(value) for name, value in {**entry, **share}.items() if name in SUSPICIOUS and value is not None
    }


def _numbers_of_discs(discs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    confidences = [disc["confidence"] for disc in discs if disc["confidence"] is not None]
    return {"count": len(discs), **({"confidence": float(np.mean(confidences))} if confidences else {})}


def structure_of(name: str, regions: Sequence[str]) -> str:
    """Return the name of a structure without that of its region.

    Examples:
        >>> structure_of("left_anterior", ["left", "right"])
        'anterior'
    """
    return next((name.removeprefix(f"{region}_") for region in regions if name.startswith(f"{region}_")), name)


def learn_ranges(results: Sequence[Numbers]) -> dict[str, dict[str, NumberRange]]:
    """Return the distribution of every number over results; of structures of regions over all regions together."""
    values: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for name, numbers in result.items():
            for number, value in numbers.items():
                values.setdefault(name, {}).setdefault(number, []).append(value)
    return {name: {number: _range_of(found) for number, found in numbers.items()} for name, numbers in values.items()}


def _range_of(values: Sequence[float]) -> NumberRange:
    low, median, high = (round(float(value), 5) for value in np.percentile(values, (5, 50, 95)))
    return NumberRange(len(values), low, median, high)


def flag(name: str, number: str, value: float, range_: NumberRange, *, limit: float) -> str | None:
    """Return in words why a number is suspicious; None if it is not.

    Args:
        name: structure or class.
        number: name of the number.
        value: the number.
        range_: its distribution over the training cases.
        limit: largest z-score that is not suspicious.

    Examples:
        >>> flag("anterior", "margin", 0.6, NumberRange(100, 0.8, 0.9, 0.95), limit=4.0)
        'anterior: margin 0.6 is low (0.9 in training, z = -4.9)'
    """
    score = range_.z_score(number, value)
    side = HIGH if score > 0 else LOW
    if abs(score) <= limit or SUSPICIOUS[number] not in (side, BOTH):
        return None
    return f"{name}: {number} {value:g} is {side} ({range_.median:g} in training, z = {score:.1f})"
