"""Calibration of probabilities of one class: temperature scaling, and how far they are from what happens.

A temperature is fitted on validation items, never on those of the test. It changes no ranking and no curve, only how
confident a network is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from .ranking import ScoreCounts

TEMPERATURES = (0.05, 20.0)
"""Least and largest temperature. Scores that separate the classes have no best one, nor have scores of chance."""

SURE = 1e-7
"""Probabilities nearer to 0 or 1 count as this near, so that each has a finite logit."""


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature T for which the sigmoid of logits / T has the least negative log-likelihood.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2, for two classes. In 1 / T the
    likelihood has one optimum.

    Args:
        logits: one per item, of the positive class.
        labels: 1 for a positive, 0 for a negative.

    Returns:
        The temperature, within :data:`TEMPERATURES`: above 1 for a network that is too sure.

    Raises:
        ValueError: as :meth:`.ScoreCounts.of`, and without positives or negatives.
    """
    counts = ScoreCounts.of(logits, labels)
    if not counts.positives.any() or not counts.negatives.any():
        raise ValueError("a temperature needs positives and negatives to be fitted on.")

    def loss(log_temperature: float) -> float:
        scaled = counts.scores / math.exp(log_temperature)
        return float(counts.positives @ np.logaddexp(0, -scaled) + counts.negatives @ np.logaddexp(0, scaled))

    bounds = [math.log(limit) for limit in TEMPERATURES]
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def logits_of(probability: ArrayLike) -> np.ndarray:
    """Return the logits of probabilities, which are kept :data:`SURE` away from 0 and 1."""
    return logit(np.clip(np.asarray(probability, dtype=float), SURE, 1 - SURE))


def calibrated(probability: ArrayLike, temperature: float) -> np.ndarray:
    """Return the probabilities that a temperature makes of ``probability``.

    Raises:
        ValueError: when the temperature is not positive.

    Examples:
        >>> calibrated([0.5, 0.9], temperature=2.0).round(2).tolist()
        [0.5, 0.75]
    """
    if not temperature > 0:
        raise ValueError(f"a temperature must be above 0, got {temperature}.")
    return expit(logits_of(probability) / temperature)


def reliability(probability: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> list[dict[str, float | int]]:
    """Return the points of a reliability diagram: predicted and observed frequency, by equal bins of probability.

    Args:
        probability: one per item, of the positive class.
        labels: 1 for a positive, 0 for a negative.
        bins: number of bins from 0 to 1.

    Returns:
        For every bin that holds items: ``low`` and ``high``, its borders; ``n``; ``probability``, the mean of its
        items; and ``share``, that of positives.

    Raises:
        ValueError: as :meth:`.ScoreCounts.of`, and for probabilities outside 0 to 1.
    """
    counts = ScoreCounts.of(probability, labels)
    if len(counts.scores) and not (counts.scores[0] >= 0 and counts.scores[-1] <= 1):
        raise ValueError(f"probabilities must lie in [0, 1], got {counts.scores[0]:g} to {counts.scores[-1]:g}.")
    totals = counts.positives + counts.negatives
    place = np.minimum((counts.scores * bins).astype(np.int64), bins - 1)
    return [
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "n": int(totals[place == number].sum()),
            "probability": float(np.average(counts.scores[place == number], weights=totals[place == number])),
            "share": float(counts.positives[place == number].sum() / totals[place == number].sum()),
        }
        for number in np.unique(place).tolist()
    ]
