"""Estimation of the Dice of a structure without a reference, from the numbers of the result.

It is a ridge regression of the Dice that evaluated cases reached on numbers such as margin, entropy and volume; the
field calls it quality estimation. Reverse classification accuracy (Valindria et al., IEEE TMI 2017; Robinson et al.,
MICCAI 2018) registers every case with others for the same purpose; this takes no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PENALTIES = np.logspace(-1, 3, 9)
"""Penalties of the regression; the one with the least leave-one-out error is taken."""

LEAST_CORRELATION = 0.1
"""Least rank correlation of an estimate that is of use."""

FEWEST = 10
"""Fewest cases of a structure from which its estimate is learned."""

SMALLEST_SCALE = 1e-6
"""Numbers with a smaller standard deviation are constant."""


@dataclass(frozen=True)
class QualityEstimate:
    """Linear estimate of the Dice of a structure.

    Attributes:
        cases: number of cases that it was learned from.
        names: numbers that it uses.
        mean: means of the numbers.
        scale: their standard deviations.
        weights: weights of the standardized numbers.
        intercept: mean Dice.
        error: root mean square error of leave-one-out.
        rank_correlation: Spearman's correlation of predicted and reached Dice, leave-one-out.
    """

    cases: int
    names: list[str]
    mean: list[float]
    scale: list[float]
    weights: list[float]
    intercept: float
    error: float
    rank_correlation: float

    def predict(self, numbers: Mapping[str, float]) -> float | None:
        """Return the Dice that is to be expected, from 0 to 1; None of a result that lacks a number."""
        if any(name not in numbers for name in self.names):
            return None
        standardized = (np.array([numbers[name] for name in self.names]) - self.mean) / self.scale
        return round(float(np.clip(self.intercept + standardized @ self.weights, 0, 1)), 4)


def learn_quality(numbers: Sequence[Mapping[str, float]], dice: Sequence[float]) -> QualityEstimate | None:
    """Return the estimate of the Dice from numbers; None where it would be of no use.

    There is none of fewer than :data:`FEWEST` cases, of equal ones, and where the numbers do not predict the Dice.

    Args:
        numbers: numbers of a structure in every case.
        dice: the Dice that it reached.
    """
    if len(dice) < FEWEST:
        return None
    shared = [name for name in numbers[0] if all(name in each for each in numbers)]
    values = np.array([[each[name] for name in shared] for each in numbers])
    varied = values.std(0) > SMALLEST_SCALE
    if not varied.any() or np.std(dice) < SMALLEST_SCALE:
        return None
    names, values = [name for name, kept in zip(shared, varied, strict=True) if kept], values[:, varied]
    mean, scale, target = values.mean(0), values.std(0), np.asarray(dice, dtype=float)
    standardized, intercept = (values - mean) / scale, float(target.mean())
    fits = [_leave_one_out(standardized, target - intercept, penalty) for penalty in PENALTIES]
    errors = [float(np.sqrt(np.mean((target - intercept - predicted) ** 2))) for _, predicted in fits]
    weights, predicted = fits[int(np.argmin(errors))]
    correlation = rank_correlation(predicted, target)
    if correlation < LEAST_CORRELATION:
        return None
    return QualityEstimate(
        cases=len(dice),
        names=names,
        mean=mean.round(6).tolist(),
        scale=scale.round(6).tolist(),
        weights=weights.round(6).tolist(),
        intercept=round(intercept, 6),
        error=round(min(errors), 4),
        rank_correlation=correlation,
    )


def _leave_one_out(values: np.ndarray, target: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of a ridge regression, and for every case the prediction of that without it."""
    inverse = np.linalg.solve(values.T @ values + penalty * np.eye(values.shape[1]), values.T)
    weights = inverse @ target
    leverage = np.einsum("ij,ji->i", values, inverse) + 1 / len(values)
    residuals = (target - values @ weights) / (1 - np.minimum(leverage, 0.99))
    return weights, target - residuals


def rank_correlation(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Return Spearman's rank correlation, 0 where one of both is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (one, other)]
    if min(float(values.std()) for values in ranks) == 0:
        return 0.0
    return round(float(np.corrcoef(*ranks)[0, 1]), 4)
