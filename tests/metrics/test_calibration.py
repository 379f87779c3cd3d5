"""Temperatures are those that made the scores, and reliability is what happened."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics

from bundle.metrics import ScoreCounts, calibrated, fit_temperature, reliability
from bundle.metrics.calibration import SURE, TEMPERATURES, logits_of


def drawn(count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels that happen as often as the logits say."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, count)
    return logits, (rng.random(count) < expit(logits)).astype(int)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_a_network_too_sure_is_found(temperature: float) -> None:
    logits, labels = drawn()
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_of_a_fine_grid_has_a_smaller_loss() -> None:
    logits, labels = drawn(300)
    grid = np.linspace(3, 6, 1001)
    losses = [metrics.log_loss(labels, expit(logits * 4 / temperature)) for temperature in grid]
    assert fit_temperature(logits * 4, labels) == pytest.approx(grid[int(np.argmin(losses))], abs=0.003)


def test_calibration_lowers_the_calibration_error_and_keeps_the_ranking() -> None:
    logits, labels = drawn(2000)
    sure = expit(logits * 2)
    better = calibrated(sure, fit_temperature(logits_of(sure), labels))
    before, after = ScoreCounts.of(sure, labels), ScoreCounts.of(better, labels)
    assert after.calibration_error() < 0.5 * before.calibration_error()
    assert after.auc() == pytest.approx(before.auc())


def test_scores_without_a_best_temperature_have_one_within_limits() -> None:
    low, high = TEMPERATURES
    assert fit_temperature([-1, 1], [0, 1]) == pytest.approx(low, rel=1e-3)
    assert fit_temperature([-1, 1], [1, 0]) == pytest.approx(high, rel=1e-3)


def test_probabilities_of_0_and_1_stay_finite() -> None:
    assert np.isfinite(logits_of([0, 1])).all()
    assert calibrated([0, 0.5, 1], 1.0) == pytest.approx([SURE, 0.5, 1 - SURE])


def test_bad_arguments_are_reported() -> None:
    with pytest.raises(ValueError, match="needs positives and negatives"):
        fit_temperature([1.0, 2.0], [1, 1])
    with pytest.raises(ValueError, match="above 0, got 0"):
        calibrated([0.5], 0)
    with pytest.raises(ValueError, match=r"\[0, 1\], got -1 to 0.5"):
        reliability([-1, 0.5], [0, 1])


def test_reliability_by_hand() -> None:
    found = reliability([0.0, 0.1, 0.1, 0.6, 1.0], [0, 0, 1, 1, 1], bins=2)
    assert found == [
        {"low": 0.0, "high": 0.5, "n": 3, "probability": pytest.approx(0.2 / 3), "share": pytest.approx(1 / 3)},
        {"low": 0.5, "high": 1.0, "n": 2, "probability": pytest.approx(0.8), "share": 1.0},
    ]
    assert reliability([], []) == []


def test_reliability_adds_up_to_the_calibration_error() -> None:
    logits, labels = drawn(500)
    bins = reliability(expit(logits * 2), labels)
    error = sum(part["n"] * abs(part["probability"] - part["share"]) for part in bins) / 500
    assert error == pytest.approx(ScoreCounts.of(expit(logits * 2), labels).calibration_error())
