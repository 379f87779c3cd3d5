"""Metrics of classifications: of one class against the rest, and of several classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .ranking import ScoreCounts

BINARY_METRICS = (
    "auc",
    "average_precision",
    "accuracy",
    "sensitivity",
    "specificity",
    "balanced_accuracy",
    "calibration_error",
)
RESAMPLES = 2000


def binary_metrics(
    probability: ArrayLike, labels: ArrayLike, *, threshold: float = 0.5, bins: int = 10
) -> dict[str, float]:
    """Evaluate probabilities of one class.

    Args:
        probability: one per item, of the positive class.
        labels: 1 for a positive, 0 for a negative.
        threshold: items above it are called positive, as ISIC's scorer does.
        bins: bins of the calibration error.

    Returns:
        ``auc`` area under the ROC curve, ``average_precision``, ``accuracy``, ``sensitivity`` and ``specificity`` at
        the threshold, ``balanced_accuracy`` their mean, ``calibration_error`` the expected one. What is not defined,
        as sensitivity without positives, is NaN.

    Raises:
        ValueError: as :meth:`.ScoreCounts.of`.

    Examples:
        >>> found = binary_metrics([0.9, 0.6, 0.4, 0.2], [1, 0, 1, 0])
        >>> found["auc"], found["sensitivity"], found["specificity"]
        (0.75, 0.5, 0.5)
    """
    counts = ScoreCounts.of(probability, labels)
    called = counts.scores > threshold
    hits, positives = int(counts.positives[called].sum()), int(counts.positives.sum())
    passed, negatives = int(counts.negatives[~called].sum()), int(counts.negatives.sum())
    sensitivity = hits / positives if positives else math.nan
    specificity = passed / negatives if negatives else math.nan
    return {
        "auc": counts.auc(),
        "average_precision": counts.average_precision(),
        "accuracy": (hits + passed) / (positives + negatives) if positives + negatives else math.nan,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "calibration_error": counts.calibration_error(bins),
    }


def binary_intervals(
    probability: ArrayLike,
    labels: ArrayLike,
    *,
    threshold: float = 0.5,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, dict[str, float | int]]:
    """Return ``value``, ``low``, ``high`` and ``n``, the number of items, of every metric of :func:`binary_metrics`.

    The intervals are percentiles of a bootstrap that draws positives and negatives apart, so that every sample has as
    many of both as there are.

    Args:
        probability: one per item, of the positive class.
        labels: 1 for a positive, 0 for a negative.
        threshold: items above it are called positive.
        level: confidence level.
        seed: seed of the resampling.
        resamples: number of samples.

    Raises:
        ValueError: as :func:`binary_metrics`.
    """
    values, reference = np.asarray(probability, dtype=float).ravel(), np.asarray(labels).ravel()

    def metrics(items: np.ndarray) -> dict[str, float]:
        return binary_metrics(values[items], reference[items], threshold=threshold)

    found = binary_metrics(values, reference, threshold=threshold)
    intervals = _stratified(metrics, reference, level, seed, resamples)
    return {
        name: {"value": value, "low": intervals[name][0], "high": intervals[name][1], "n": len(values)}
        for name, value in found.items()
    }


def thresholds_by_name(names: Sequence[str], thresholds: float | Mapping[str, float]) -> dict[str, float]:
    """Return the threshold of every class.

    Args:
        names: names of the classes.
        thresholds: one for all, or by name.

    Raises:
        ValueError: when one is missing or outside [0, 1).
    """
    found = dict(thresholds) if isinstance(thresholds, Mapping) else dict.fromkeys(names, thresholds)
    if any(not 0 <= found.get(name, -1) < 1 for name in names):
        raise ValueError(f"thresholds must give a number in [0, 1) for each of {', '.join(names)}, got {thresholds}.")
    return {name: float(found[name]) for name in names}


def balanced_accuracy(confidence: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean recall over the classes that occur; the highest confidence decides, a tie is wrong.

    This is the rank metric of ISIC 2018 Task 3 (Codella et al., arXiv:1902.03368).

    Args:
        confidence: ``(N, C)``, one row per item.
        labels: class numbers ``(N,)`` from 0 on.

    Raises:
        ValueError: when the shapes do not fit or a label is not a class.
    """
    values, reference = np.asarray(confidence, dtype=float), np.asarray(labels)
    if values.ndim != 2 or reference.shape != values.shape[:1]:
        raise ValueError(f"confidence (N, C) and labels (N,) do not fit: {values.shape} and {reference.shape}.")
    if len(reference) and not (reference.min() >= 0 and reference.max() < values.shape[1]):
        raise ValueError(
            f"labels must be classes 0 to {values.shape[1] - 1}, got {reference.min()} to {reference.max()}."
        )
    best = values.max(axis=1, keepdims=True) == values
    right = best[np.arange(len(reference)), reference.astype(np.int64)] & (best.sum(axis=1) == 1)
    recalls = [right[reference == name].mean() for name in np.unique(reference)]
    return float(np.mean(recalls)) if recalls else math.nan


def balanced_accuracy_interval(
    confidence: ArrayLike, labels: ArrayLike, *, level: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, float | int]:
    """Return ``value``, ``low``, ``high`` and ``n`` of :func:`balanced_accuracy`; every class is resampled separately.

    Args:
        confidence: ``(N, C)``, one row per item.
        labels: class numbers ``(N,)`` from 0 on.
        level: confidence level.
        seed: seed of the resampling.
        resamples: number of samples.

    Raises:
        ValueError: as :func:`balanced_accuracy`.
    """
    values, reference = np.asarray(confidence, dtype=float), np.asarray(labels)
    found, rng = balanced_accuracy(values, reference), np.random.default_rng(seed)
    strata = [np.flatnonzero(reference == name) for name in np.unique(reference)]
    drawn = [
        balanced_accuracy(values[items], reference[items])
        for items in (_drawn(strata, rng) for _ in range(resamples if strata else 0))
    ]
    low, high = np.quantile(drawn or [math.nan], [(1 - level) / 2, (1 + level) / 2])
    return {"value": found, "low": float(low), "high": float(high), "n": len(reference)}


def choose_threshold(probability: ArrayLike, labels: ArrayLike) -> float:
    """Return the threshold with the largest sum of sensitivity and specificity (Youden's index).

    It lies halfway between two scores, so that it does not depend on how equality counts; among equals the one with
    the higher sensitivity is taken. Choose it on validation items, never on those of the test.

    Raises:
        ValueError: as :meth:`.ScoreCounts.of`, and without positives or negatives.
    """
    counts = ScoreCounts.of(probability, labels)
    if not counts.positives.any() or not counts.negatives.any():
        raise ValueError("a threshold needs positives and negatives to be chosen on.")
    false_rate, true_rate, _ = counts.roc()
    gain = np.round(true_rate - false_rate, 12)
    called = int(np.flatnonzero(gain == gain.max())[-1])
    edges = np.concatenate([[1.0], counts.scores[::-1], [0.0]])
    return float((edges[called] + edges[called + 1]) / 2)


def _stratified(
    metrics: Callable[[np.ndarray], dict[str, float]], reference: np.ndarray, level: float, seed: int, resamples: int
) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(seed)
    strata = [np.flatnonzero(reference == 1), np.flatnonzero(reference != 1)]
    drawn = [metrics(_drawn(strata, rng)) for _ in range(resamples)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    limits = {name: np.quantile([sample[name] for sample in drawn], tails) for name in BINARY_METRICS}
    return {name: (float(low), float(high)) for name, (low, high) in limits.items()}


def _drawn(strata: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Draw from every stratum as many of its items, with replacement, as it has."""
    return np.concatenate([rng.choice(items, len(items)) for items in strata if len(items)] or [strata[0]])
