"""Means with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import bootstrap

RESAMPLES = 9999


def mean_interval(values: Sequence[float], *, level: float = 0.95, seed: int = 0) -> dict[str, float | int]:
    """Return the mean of the defined values with a bias-corrected and accelerated bootstrap interval.

    Source: Efron, Better bootstrap confidence intervals, JASA 82 (1987).

    Args:
        values: one value per case; NaN where it is not defined.
        level: confidence level of the interval.
        seed: seed of the resampling.

    Returns:
        ``mean``, ``low``, ``high``, and ``n``, the number of defined values. The interval is NaN for fewer than two
        values; it is the mean where all are the same.

    Examples:
        >>> mean_interval([0.75, 0.75, float("nan")])
        {'mean': 0.75, 'low': 0.75, 'high': 0.75, 'n': 2}
    """
    defined = np.array([value for value in values if not math.isnan(value)], dtype=float)
    mean = float(defined.mean()) if len(defined) else math.nan
    if len(defined) < 2:
        return {"mean": mean, "low": math.nan, "high": math.nan, "n": len(defined)}
    if np.ptp(defined) == 0:
        return {"mean": mean, "low": mean, "high": mean, "n": len(defined)}
    rng = np.random.default_rng(seed)
    interval = bootstrap(
        (defined,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="BCa", rng=rng
    ).confidence_interval
    return {"mean": mean, "low": float(interval.low), "high": float(interval.high), "n": len(defined)}


def format_interval(interval: Mapping[str, float | int], *, digits: int = 4, signed: bool = False) -> str:
    """Return a statistic with its interval as text.

    Args:
        interval: ``mean`` or ``value``, ``low`` and ``high``.
        digits: number of decimal places.
        signed: write the sign of positive numbers, too.

    Examples:
        >>> format_interval({"mean": 0.8125, "low": 0.75, "high": 0.875, "n": 12}, digits=2)
        '0.81 [0.75, 0.88]'
    """
    center = interval["mean"] if "mean" in interval else interval["value"]
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{center:{form}} [{interval['low']:{form}}, {interval['high']:{form}}]"
