from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.metrics import format_interval, mean_interval


def test_the_interval_of_many_normal_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(0.9, 0.05, 400)
    found = mean_interval(values.tolist())
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found["mean"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_about_95_percent_of_the_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(25):
        found = mean_interval(rng.normal(0.0, 1.0, 30).tolist())
        hits += found["low"] <= 0 <= found["high"]
    assert 21 <= hits <= 25


def test_undefined_values_are_ignored_and_the_others_counted() -> None:
    assert mean_interval([0.5, math.nan, 0.7])["n"] == 2


def test_the_same_values_give_the_same_interval_again() -> None:
    assert mean_interval([0.1, 0.4, 0.3]) == mean_interval([0.1, 0.4, 0.3])


def test_one_value_has_a_mean_but_no_interval() -> None:
    found = mean_interval([0.8])
    assert found["mean"] == 0.8
    assert math.isnan(found["low"])
    assert math.isnan(mean_interval([])["mean"])


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_interval([0.9, 0.9, 0.9]) == {"mean": 0.9, "low": 0.9, "high": 0.9, "n": 3}


def test_an_interval_is_written_after_its_mean_or_value() -> None:
    interval = {"low": 0.25, "high": -0.125}
    assert format_interval({"mean": 0.5, **interval}) == "0.5000 [0.2500, -0.1250]"
    assert format_interval({"value": 0.5, **interval}, digits=2, signed=True) == "+0.50 [+0.25, -0.12]"
