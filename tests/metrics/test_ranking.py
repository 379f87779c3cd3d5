"""Areas and curves of scores agree with scikit-learn, with brute force over all pairs, and with MONAI."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_precision, compute_roc_auc
from sklearn import metrics

from bundle.metrics import ScoreCounts

RNG = np.random.default_rng(0)
CASES = {
    "distinct": (RNG.random(60), RNG.random(60) < 0.3),
    "ties": (np.round(RNG.random(200), 1), RNG.random(200) < 0.6),
    "constant": (np.full(9, 0.4), np.arange(9) < 4),
    "perfect": (np.linspace(0, 1, 10), np.arange(10) > 6),
    "reversed": (np.linspace(1, 0, 10), np.arange(10) > 6),
    "one of each": (np.array([0.2, 0.7]), np.array([0, 1])),
}


@pytest.mark.parametrize("name", CASES)
def test_areas_agree_with_independent_implementations(name: str) -> None:
    scores, labels = CASES[name]
    counts = ScoreCounts.of(scores, labels)
    assert counts.auc() == pytest.approx(metrics.roc_auc_score(labels, scores))
    pairs = list(itertools.product(scores[labels == 1], scores[labels == 0]))
    assert counts.auc() == pytest.approx(sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs))
    assert counts.average_precision() == pytest.approx(metrics.average_precision_score(labels, scores))
    tensors = torch.as_tensor(scores), torch.as_tensor(labels).int()
    assert counts.auc() == pytest.approx(compute_roc_auc(*tensors), rel=1e-5)
    if len(np.unique(scores)) == len(scores):
        assert counts.average_precision() == pytest.approx(compute_average_precision(*tensors), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_curves_agree_with_scikit_learn(name: str) -> None:
    scores, labels = CASES[name]
    counts = ScoreCounts.of(scores, labels)
    for ours, theirs in zip(counts.roc(), metrics.roc_curve(labels, scores, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(ours, theirs)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    for ours, theirs in zip(counts.precision_recall(), (precision[:-1], recall[:-1], thresholds), strict=True):
        np.testing.assert_allclose(ours[::-1], theirs)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    scores = np.array([0.05, 0.08, 0.55, 0.95, 1.0, 0.31])
    labels = np.array([0, 1, 1, 1, 0, 0])
    expected = (2 * abs(0.065 - 0.5) + abs(0.31 - 0) + abs(0.55 - 1) + 2 * abs(0.975 - 0.5)) / 6
    assert ScoreCounts.of(scores, labels).calibration_error(bins=10) == pytest.approx(expected)
    assert ScoreCounts.of([0.25] * 8, [1, 0, 0, 0, 1, 0, 0, 0]).calibration_error() == pytest.approx(0)


def test_what_has_no_positives_or_no_negatives_has_no_area() -> None:
    assert math.isnan(ScoreCounts.of([0.1, 0.2], [1, 1]).auc())
    assert ScoreCounts.of([0.1, 0.2], [1, 1]).average_precision() == 1
    empty = ScoreCounts.of([0.1, 0.2], [0, 0])
    assert math.isnan(empty.auc())
    assert math.isnan(empty.average_precision())
    assert np.isnan(empty.precision_recall()[1]).all()
    assert math.isnan(ScoreCounts.of([], []).calibration_error())


def test_counts_of_pixels_add_up_to_those_of_all_images() -> None:
    scores = np.round(RNG.random((3, 5, 8)), 3)
    labels = RNG.random((3, 5, 8)) < scores
    total = ScoreCounts.of_pixels(scores[0], labels[0])
    for image, mask in zip(scores[1:], labels[1:], strict=True):
        total += ScoreCounts.of_pixels(image, mask)
    together = ScoreCounts.of(scores, labels)
    for metric in ("auc", "average_precision", "calibration_error"):
        assert getattr(total, metric)() == pytest.approx(getattr(together, metric)())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 scores and 3 labels"):
        ScoreCounts.of([0.1, 0.2], [0, 1, 1])
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        ScoreCounts.of([0.1, math.nan], [0, 1])
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        ScoreCounts.of([0.1, 0.2], [0, 255])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 0 to 255"):
        ScoreCounts.of_pixels([0, 255], [0, 1])
    with pytest.raises(ValueError, match="of different scores"):
        ScoreCounts.of([0.1], [1]) + ScoreCounts.of([0.2], [1])
