"""The Dice is estimated by ridge regression; its error is that of leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

from bundle.inference.quality_estimate import PENALTIES, learn_quality, rank_correlation


def cases(count: int, noise: float, seed: int = 0) -> tuple[list[dict[str, float]], list[float]]:
    """Return numbers of which two determine the Dice, one is noise and one constant."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 3))
    dice = 0.85 + 0.03 * values[:, 0] - 0.02 * values[:, 1] + noise * generator.normal(size=count)
    names = ("margin", "volume_mm3", "entropy")
    return [{**dict(zip(names, row, strict=True)), "same": 1.0} for row in values.tolist()], dice.tolist()


def test_a_linear_relation_is_found() -> None:
    numbers, dice = cases(200, noise=0.0)
    estimate = learn_quality(numbers, dice)
    assert estimate is not None
    assert estimate.names == ["margin", "volume_mm3", "entropy"]
    assert estimate.rank_correlation > 0.99
    assert estimate.error < 0.001
    others, reached = cases(50, noise=0.0, seed=1)
    assert [estimate.predict(each) for each in others] == pytest.approx(reached, abs=2e-3)


def test_the_error_is_that_of_fits_without_the_case() -> None:
    numbers, dice = cases(30, noise=0.02)
    estimate = learn_quality(numbers, dice)
    assert estimate is not None
    values = np.array([[each[name] for name in estimate.names] for each in numbers])
    standardized = (values - values.mean(0)) / values.std(0)
    errors = []
    for penalty in PENALTIES:
        predicted = []
        for left in range(30):
            kept = np.arange(30) != left
            model = Ridge(alpha=penalty).fit(standardized[kept], np.array(dice)[kept])
            predicted.append(model.predict(standardized[[left]])[0])
        errors.append((np.sqrt(np.mean((np.array(dice) - predicted) ** 2)), spearmanr(predicted, dice).statistic))
    best = min(errors)
    assert estimate.error == pytest.approx(best[0], abs=2e-4)
    assert estimate.rank_correlation == pytest.approx(best[1], abs=0.02)


def test_a_result_without_a_number_has_no_estimate() -> None:
    estimate = learn_quality(*cases(20, noise=0.01))
    assert estimate is not None
    assert estimate.predict({"margin": 1.0}) is None


def test_an_estimate_is_a_dice() -> None:
    estimate = learn_quality(*cases(50, noise=0.0))
    assert estimate is not None
    assert estimate.predict({"margin": 1e3, "volume_mm3": 0.0, "entropy": 0.0}) == 1
    assert estimate.predict({"margin": -1e3, "volume_mm3": 0.0, "entropy": 0.0}) == 0


def test_too_few_or_equal_cases_give_none() -> None:
    assert learn_quality(*cases(9, noise=0.0)) is None
    numbers, _ = cases(20, noise=0.0)
    assert learn_quality(numbers, [0.8] * 20) is None
    assert learn_quality([{"same": 1.0}] * 20, np.linspace(0, 1, 20).tolist()) is None


def test_numbers_that_do_not_predict_the_dice_give_none() -> None:
    numbers, _ = cases(60, noise=0.0)
    assert learn_quality(numbers, np.random.default_rng(1).normal(size=60).tolist()) is None


def test_the_rank_correlation_is_spearmans() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 40)).round(1)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic, abs=1e-4)
    assert rank_correlation(one, np.ones(40)) == 0
