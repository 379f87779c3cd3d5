"""Metrics of classifications agree with scikit-learn and with cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from bundle.metrics import (
    BINARY_METRICS,
    balanced_accuracy,
    balanced_accuracy_interval,
    binary_intervals,
    binary_metrics,
    choose_threshold,
    thresholds_by_name,
)

RNG = np.random.default_rng(0)
LABELS = (RNG.random(80) < 0.3).astype(int)
SCORES = np.clip(0.3 * LABELS + 0.7 * RNG.random(80), 0, 1)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_metrics_agree_with_scikit_learn(threshold: float) -> None:
    called = threshold < SCORES
    found = binary_metrics(SCORES, LABELS, threshold=threshold)
    assert tuple(found) == BINARY_METRICS
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(LABELS, SCORES))
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(LABELS, SCORES))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(LABELS, called))
    assert found["sensitivity"] == pytest.approx(metrics.recall_score(LABELS, called))
    assert found["specificity"] == pytest.approx(metrics.recall_score(LABELS, called, pos_label=0))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(LABELS, called))


def test_a_case_by_hand() -> None:
    found = binary_metrics([0.9, 0.5, 0.6, 0.1], [1, 1, 0, 0])
    assert found["auc"] == 0.75
    assert found["average_precision"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (found["accuracy"], found["sensitivity"], found["specificity"]) == (0.5, 0.5, 0.5)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.5 + 0.6 + 0.1) / 4)


def test_what_is_not_defined_is_nan() -> None:
    only_positives = binary_metrics([0.9, 0.2], [1, 1])
    assert math.isnan(only_positives["specificity"])
    assert math.isnan(only_positives["balanced_accuracy"])
    assert (only_positives["sensitivity"], only_positives["accuracy"]) == (0.5, 0.5)
    assert all(math.isnan(value) for value in binary_metrics([], []).values())
    assert math.isnan(binary_metrics([0.2], [0])["sensitivity"])


def test_intervals_hold_the_value_and_shrink_with_the_number_of_items() -> None:
    few = binary_intervals(SCORES, LABELS, resamples=300)
    many = binary_intervals(np.tile(SCORES, 9), np.tile(LABELS, 9), resamples=300)
    for name, value in binary_metrics(SCORES, LABELS).items():
        assert few[name]["value"] == pytest.approx(value)
        assert few[name]["n"] == 80
        if name != "calibration_error":  # its bootstrap is biased upwards
            assert few[name]["low"] <= value <= few[name]["high"]
        assert many[name]["high"] - many[name]["low"] < 0.6 * (few[name]["high"] - few[name]["low"])
    assert few == binary_intervals(SCORES, LABELS, resamples=300)


def test_the_interval_of_the_auc_has_the_width_of_hanley_and_mcneil() -> None:
    """Hanley and McNeil, Radiology 143 (1982), formulas 1 and 2."""
    interval = binary_intervals(SCORES, LABELS, resamples=400)["auc"]
    area, positives, negatives = interval["value"], LABELS.sum(), (1 - LABELS).sum()
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    width = 2 * 1.96 * math.sqrt(variance / positives / negatives)
    assert interval["high"] - interval["low"] == pytest.approx(width, rel=0.25)


def test_intervals_of_one_class_and_of_nothing() -> None:
    one_class = binary_intervals([0.9, 0.2, 0.8], [1, 1, 1], resamples=20)
    assert math.isnan(one_class["auc"]["low"])
    assert 0 <= one_class["sensitivity"]["low"] <= one_class["sensitivity"]["high"] <= 1
    assert math.isnan(binary_intervals([], [], resamples=3)["accuracy"]["high"])


def test_balanced_accuracy_is_the_mean_recall() -> None:
    confidence = RNG.random((60, 4))
    labels = RNG.integers(0, 4, 60)
    expected = metrics.balanced_accuracy_score(labels, confidence.argmax(1))
    assert balanced_accuracy(confidence, labels) == pytest.approx(expected)


def test_ties_are_wrong_and_absent_classes_do_not_count() -> None:
    assert balanced_accuracy([[0.5, 0.5, 0], [0, 1, 0], [0.2, 0.9, 0]], [0, 1, 0]) == 0.5
    assert math.isnan(balanced_accuracy(np.empty((0, 3)), []))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        balanced_accuracy([[0.5, 0.5]], [0, 1])
    with pytest.raises(ValueError, match="classes 0 to 1, got 0 to 2"):
        balanced_accuracy([[0.5, 0.5], [1, 0]], [0, 2])
    with pytest.raises(ValueError, match="needs positives and negatives"):
        choose_threshold([0.1, 0.2], [0, 0])


def test_the_threshold_is_the_best_of_all() -> None:
    threshold = choose_threshold(SCORES, LABELS)
    best = max(binary_metrics(SCORES, LABELS, threshold=t)["balanced_accuracy"] for t in np.linspace(0, 1, 2001))
    assert binary_metrics(SCORES, LABELS, threshold=threshold)["balanced_accuracy"] == pytest.approx(best)
    assert choose_threshold([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1]) == pytest.approx(0.4)
    assert choose_threshold([0.1, 0.2, 0.6, 0.8], [1, 0, 0, 1]) == pytest.approx(0.7)


def test_the_interval_of_the_balanced_accuracy_is_that_of_the_mean_of_two_shares() -> None:
    reference = np.repeat([0, 1], [60, 40])
    right = np.concatenate([np.arange(60) < 45, np.arange(40) < 20])
    confidence = np.eye(2)[np.where(right, reference, 1 - reference)]
    found = balanced_accuracy_interval(confidence, reference)
    assert (found["value"], found["n"]) == (pytest.approx((0.75 + 0.5) / 2), 100)
    deviation = math.sqrt(0.75 * 0.25 / 60 + 0.5 * 0.5 / 40) / 2
    assert found["low"] == pytest.approx(found["value"] - 1.96 * deviation, abs=0.02)
    assert found["high"] == pytest.approx(found["value"] + 1.96 * deviation, abs=0.02)


def test_without_items_the_balanced_accuracy_is_not_defined() -> None:
    found = balanced_accuracy_interval(np.zeros((0, 3)), [])
    assert found["n"] == 0
    assert all(math.isnan(found[name]) for name in ("value", "low", "high"))


def test_thresholds_are_one_for_all_or_by_name() -> None:
    assert thresholds_by_name(["a", "b"], 0.25) == {"a": 0.25, "b": 0.25}
    assert thresholds_by_name(["a", "b"], {"b": 0, "a": 0.5, "c": 7}) == {"a": 0.5, "b": 0.0}
    for bad in (1.0, -0.1, {"a": 0.5}):
        with pytest.raises(ValueError, match=r"in \[0, 1\) for each of a, b"):
            thresholds_by_name(["a", "b"], bad)
