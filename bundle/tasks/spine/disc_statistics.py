"""Statistics of disc labeling over exams, with 95 % intervals.

Discs of one exam are not independent: in an exam that is off by one level, all discs are wrong. The intervals of
statistics over discs therefore resample exams with replacement (Field and Welsh, Bootstrapping clustered data, JRSS B
69, 2007).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bundle.metrics.bootstrap import mean_interval

from .disc_metrics import DISTANCES, DiscComparison

RESAMPLES = 1000
SACRUM = 25
"""Level of the lumbosacral disc."""
EXAM_METRICS = ("level_right", "off_by_one", "reversed")

Statistic = Callable[[np.ndarray], Any]


def pooled_interval(
    values: Sequence[np.ndarray],
    statistics: Mapping[str, Statistic],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, float | int]]:
    """Return statistics of the values of all exams, with percentile intervals from resampled exams.

    Args:
        values: the values of every exam, any number of them; NaN are ignored.
        statistics: functions of an array by name.
        level: confidence level of the intervals.
        resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        ``value``, ``low``, ``high`` and ``n``, the number of values, by the name of the statistic. NaN without values;
        the interval is NaN for fewer than two exams with values.
    """
    kept = [exam[~np.isnan(exam)] for exam in (np.asarray(item, dtype=float) for item in values)]
    kept = [exam for exam in kept if len(exam)]
    pool = np.concatenate([np.empty(0), *kept])
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(kept), size=(resamples, len(kept))).tolist() if len(kept) > 1 else []
    samples = [np.concatenate([kept[index] for index in draw]) for draw in draws]
    ends = [50 * (1 - level), 50 * (1 + level)]
    result: dict[str, dict[str, float | int]] = {}
    for name, statistic in statistics.items():
        value = float(statistic(pool)) if len(pool) else math.nan
        drawn = [statistic(sample) for sample in samples]
        low, high = np.percentile(drawn, ends) if drawn else (math.nan, math.nan)
        result[name] = {"value": value, "low": float(low), "high": float(high), "n": len(pool)}
    return result


def summarize_discs(exams: Sequence[DiscComparison]) -> dict[str, Any]:
    """Return the numbers of exams and discs, and the statistics over them.

    Returns:
        ``exams`` and ``discs``; over all discs ``identification_rate``, ``identification_rate_far``,
        ``false_negative_rate``, ``false_positive_rate``, and median, mean and standard deviation of the four distances
        of matched discs; over exams, with the name of the metric, the mean; ``sacrum_in_view``, the number of exams
        whose reference has the disc L5-S1, and ``level_right`` over these. Every statistic is ``value``, ``low``,
        ``high``, ``n``. See :class:`bundle.tasks.spine.DiscComparison` for the metrics.
    """
    sacral = [exam for exam in exams if exam.levels.get(SACRUM, {}).get("referenced") == 1]
    return {
        "exams": len(exams),
        "discs": sum(len(exam.false_negatives) for exam in exams),
        "identification_rate": _rate([_column(exam, "identified") for exam in exams]),
        "identification_rate_far": _rate([_column(exam, "identified_far") for exam in exams]),
        "false_negative_rate": _rate([exam.false_negatives for exam in exams]),
        "false_positive_rate": _rate([exam.false_positives for exam in exams]),
        **_distances(exams),
        **{name: _mean_over_exams(exams, name) for name in EXAM_METRICS},
        "sacrum_in_view": {"exams": len(sacral), "level_right": _mean_over_exams(sacral, "level_right")},
    }


def _column(exam: DiscComparison, name: str) -> np.ndarray:
    return np.array([row[name] for row in exam.levels.values()], dtype=float)


def _rate(flags: Sequence[np.ndarray]) -> dict[str, float | int]:
    return pooled_interval(flags, {"rate": np.mean})["rate"]


def _distances(exams: Sequence[DiscComparison]) -> dict[str, dict[str, float | int]]:
    statistics: dict[str, Statistic] = {"median": np.median, "mean": np.mean, "std": np.std}
    return {
        f"{distance.removesuffix('_mm')}_{name}_mm": interval
        for distance in DISTANCES
        for name, interval in pooled_interval([_column(exam, distance) for exam in exams], statistics).items()
    }


def _mean_over_exams(exams: Sequence[DiscComparison], name: str) -> dict[str, float | int]:
    interval = mean_interval([exam.metrics[name] for exam in exams])
    return {"value": interval["mean"], "low": interval["low"], "high": interval["high"], "n": interval["n"]}
