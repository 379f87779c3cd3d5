"""What the JSON of an image has of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def describe_classes(values: Sequence[float], thresholds: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Return probability, threshold and decision of every class by its name.

    Examples:
        >>> describe_classes([0.75], {"melanoma": 0.5})
        {'melanoma': {'probability': 0.75, 'threshold': 0.5, 'positive': True}}
    """
    return {
        name: {"probability": round(value, 6), "threshold": threshold, "positive": value > threshold}
        for value, (name, threshold) in zip(values, thresholds.items(), strict=True)
    }
