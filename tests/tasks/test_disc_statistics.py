from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.metrics import mean_interval
from bundle.tasks.spine import compare_discs, pooled_interval, summarize_discs

SPINE = {value: (0.0, 0.0, -30.0 * value) for value in range(20, 26)}
UPPER = {value: place for value, place in SPINE.items() if value < 25}


def off(shift: int = 0, by: float = 0.0, of: dict[int, tuple[float, ...]] = UPPER) -> dict[int, tuple[float, ...]]:
    return {value + shift: (r, a + by, s) for value, (r, a, s) in of.items()}


def test_statistics_are_over_the_values_of_all_exams() -> None:
    values = [np.array([1.0, 2.0, math.nan]), np.array([6.0]), np.array([math.nan])]
    found = pooled_interval(values, {"mean": np.mean, "median": np.median})
    assert (found["mean"]["value"], found["median"]["value"], found["mean"]["n"]) == (3, 2, 3)


def test_with_one_value_an_exam_the_interval_is_the_usual_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=60)
    found = pooled_interval([values[i : i + 1] for i in range(60)], {"mean": np.mean}, resamples=3000)["mean"]
    usual = mean_interval(values.tolist())
    assert found["low"] == pytest.approx(usual["low"], abs=0.1)
    assert found["high"] == pytest.approx(usual["high"], abs=0.1)


def test_values_that_agree_within_exams_say_as_much_as_one_an_exam() -> None:
    flags = np.random.default_rng(2).integers(0, 2, size=30).astype(float)
    once = pooled_interval([np.array([flag]) for flag in flags], {"rate": np.mean})["rate"]
    often = pooled_interval([np.full(9, flag) for flag in flags], {"rate": np.mean})["rate"]
    assert (often["low"], often["high"]) == pytest.approx((once["low"], once["high"]))
    assert often["n"] == 9 * once["n"]


def test_few_exams_have_no_interval() -> None:
    nothing = pooled_interval([np.array([math.nan])], {"mean": np.mean})["mean"]
    assert nothing["n"] == 0
    assert math.isnan(nothing["value"])
    one = pooled_interval([np.array([1.0, 3.0])], {"mean": np.mean})["mean"]
    assert one["value"] == 2
    assert math.isnan(one["low"])


def test_the_summary_counts_exams_and_discs() -> None:
    exams = [
        compare_discs(SPINE, SPINE),
        compare_discs(off(by=3.0), UPPER),
        compare_discs(off(1, by=3.0), UPPER),
        compare_discs({}, SPINE),
    ]
    found = summarize_discs(exams)
    assert (found["exams"], found["discs"]) == (4, 22)
    assert found["identification_rate"]["value"] == pytest.approx(11 / 22)
    assert found["false_negative_rate"]["value"] == pytest.approx(6 / 22)
    assert found["false_positive_rate"]["value"] == 0
    assert found["distance_median_mm"] == {**found["distance_median_mm"], "value": 3, "n": 16}
    assert found["distance_mean_mm"]["value"] == found["distance_in_plane_mean_mm"]["value"] == pytest.approx(30 / 16)
    assert found["distance_std_mm"]["value"] == pytest.approx(np.std([0] * 6 + [3] * 10))
    assert found["distance_along_mean_mm"]["value"] == found["distance_is_mean_mm"]["value"] == 0
    assert found["level_right"]["value"] == pytest.approx(2 / 4)
    assert found["off_by_one"]["value"] == pytest.approx(1 / 3)
    assert found["reversed"]["value"] == 0
    assert found["sacrum_in_view"]["exams"] == 2
    assert found["sacrum_in_view"]["level_right"]["value"] == pytest.approx(1 / 2)
    assert found["identification_rate"]["low"] <= 0.5 <= found["identification_rate"]["high"]


def test_no_exam_is_a_summary_too() -> None:
    found = summarize_discs([])
    assert (found["exams"], found["discs"], found["sacrum_in_view"]["exams"]) == (0, 0, 0)
    assert math.isnan(found["identification_rate"]["value"])
