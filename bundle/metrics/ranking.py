"""Curves and areas of scores against two classes, from the number of positives and negatives at every score.

Equal scores are one step of a curve, so that no order of the items matters. Counts can be added up, which makes the
curves of all pixels of a dataset possible: their scores are rounded to a grid first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

GRID = 1000
"""Steps from 0 to 1 that the scores of pixels are rounded to."""


@dataclass(frozen=True)
class ScoreCounts:
    """How many positives and negatives have every score.

    Attributes:
        scores: distinct scores, increasing.
        positives: number of positives with that score.
        negatives: number of negatives with that score.
    """

    scores: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, scores: ArrayLike, labels: ArrayLike) -> ScoreCounts:
        """Count items by their scores.

        Args:
            scores: one per item, higher for the positive class.
            labels: 1 or True for a positive, 0 or False for a negative.

        Raises:
            ValueError: when the sizes differ, a score is NaN or a label is neither 0 nor 1.
        """
        values, reference = _checked(scores, labels)
        distinct, place = np.unique(values, return_inverse=True)
        totals = np.bincount(place, minlength=len(distinct))
        positives = np.bincount(place[reference], minlength=len(distinct))
        return cls(distinct, positives, totals - positives)

    @classmethod
    def of_pixels(cls, probability: ArrayLike, labels: ArrayLike) -> ScoreCounts:
        """Count pixels by their probability, rounded to :data:`GRID` steps, so that counts of images can be added.

        Raises:
            ValueError: as :meth:`of`; when a probability is outside 0 to 1.
        """
        values, reference = _checked(probability, labels)
        if len(values) and (values.min() < 0 or values.max() > 1):
            raise ValueError(f"probabilities must lie in [0, 1], got {values.min():g} to {values.max():g}.")
        place = np.round(values * GRID).astype(np.int64)
        totals = np.bincount(place, minlength=GRID + 1)
        positives = np.bincount(place[reference], minlength=GRID + 1)
        return cls(np.arange(GRID + 1) / GRID, positives, totals - positives)

    def __add__(self, other: ScoreCounts) -> ScoreCounts:
        """Add the counts of the same scores.

        Raises:
            ValueError: when the scores differ.
        """
        if not np.array_equal(self.scores, other.scores):
            raise ValueError("counts of different scores cannot be added; use ScoreCounts.of_pixels for all of them.")
        return ScoreCounts(self.scores, self.positives + other.positives, self.negatives + other.negatives)

    def roc(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return false positive rate, true positive rate and thresholds, from (0, 0) at infinity to (1, 1).

        At a threshold, items of that score and above count as positive. A rate without items is NaN.
        """
        hits, alarms = (np.append(0, np.cumsum(counts[::-1])) for counts in (self.positives, self.negatives))
        thresholds = np.append(math.inf, self.scores[::-1])
        return _share(alarms, alarms[-1]), _share(hits, hits[-1]), thresholds

    def precision_recall(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return precision, recall and thresholds, from the highest score down; see :meth:`roc`."""
        hits, alarms = (np.cumsum(counts[::-1]) for counts in (self.positives, self.negatives))
        return _share(hits, hits + alarms), _share(hits, self.positives.sum()), self.scores[::-1]

    def auc(self) -> float:
        """Return the area under the ROC curve: how often a positive outscores a negative, ties counted half.

        NaN without positives or negatives.
        """
        positives, negatives = self.positives.sum(), self.negatives.sum()
        if not positives or not negatives:
            return math.nan
        below = np.cumsum(self.negatives) - self.negatives
        wins = self.positives.astype(float) @ (below + self.negatives / 2)
        return float(wins / positives / negatives)

    def average_precision(self) -> float:
        """Return the sum of precision times the step of recall over all scores; NaN without positives."""
        if not self.positives.sum():
            return math.nan
        precision, recall, _ = self.precision_recall()
        steps = np.diff(recall, prepend=0)
        return float(precision[steps > 0] @ steps[steps > 0])

    def calibration_error(self, bins: int = 10) -> float:
        """Return the expected calibration error of the scores as probabilities of the positive class.

        It is the mean over items of how far, in one of ``bins`` equal bins, the mean score is from the share of
        positives (Naeini et al., AAAI 2015, for two classes). NaN without items.
        """
        totals = self.positives + self.negatives
        if not totals.sum():
            return math.nan
        place = np.minimum((self.scores * bins).astype(np.int64), bins - 1)
        predicted = np.bincount(place, weights=self.scores * totals, minlength=bins)
        observed = np.bincount(place, weights=self.positives, minlength=bins)
        return float(np.abs(predicted - observed).sum() / totals.sum())


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    values, reference = np.asarray(scores, dtype=float).ravel(), np.asarray(labels).ravel()
    if values.shape != reference.shape:
        raise ValueError(f"{len(values)} scores and {len(reference)} labels differ in number.")
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} of {len(values)} scores are NaN.")
    if not ((reference == 0) | (reference == 1)).all():
        raise ValueError("labels must be 0 or 1.")
    return values, reference.astype(bool)


def _share(part: np.ndarray, whole: np.ndarray | int) -> np.ndarray:
    """Divide; NaN where the whole is 0."""
    whole = np.broadcast_to(np.asarray(whole, dtype=float), part.shape)
    return np.divide(part, whole, out=np.full(part.shape, math.nan), where=whole > 0)
