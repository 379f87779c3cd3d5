from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bundle.experiments.compare.comparison_statistics import collect, holm, shown, sign_flip_p, summarize

Rows = dict[str, tuple[float | None, float | None]]


def result(attention: str, rows: Rows, seed: int = 0, fold: int = 0, seconds: float = 10.0) -> dict[str, Any]:
    """Return a result with the Dice of the structures a and b of every case; HD95 is ten times the Dice."""
    table = [
        {"case": case, "structure": name, "dice": dice, "hd95_mm": None if dice is None else 10 * dice}
        for case, values in rows.items()
        for name, dice in zip("ab", values, strict=True)
    ]
    numbers = {"parameters": 100 + len(attention), "epochs": 5, "seconds": seconds, "cpu_seconds": 2 * seconds}
    return {"attention": attention, "seed": seed, "fold": fold, **numbers, "rows": table}


def two_seeds() -> list[dict[str, Any]]:
    """Two seeds, two folds; the differences of the cases a, b, c in mean Dice are 0.1, 0.2 and 0.0."""
    return [
        result("none", {"x": (0.5, 0.7), "y": (0.6, 0.6)}, seed=0, fold=0, seconds=10),
        result("none", {"z": (0.8, 0.8)}, seed=0, fold=1, seconds=20),
        result("none", {"x": (0.5, 0.5), "y": (0.4, 0.6)}, seed=1, fold=0, seconds=60),
        result("none", {"z": (0.7, 0.7)}, seed=1, fold=1, seconds=30),
        result("pam", {"x": (0.6, 0.8), "y": (0.7, 0.7)}, seed=0, fold=0),
        result("pam", {"z": (0.7, 0.7)}, seed=0, fold=1),
        result("pam", {"x": (0.6, 0.6), "y": (0.7, 0.9)}, seed=1, fold=0),
        result("pam", {"z": (0.8, 0.8)}, seed=1, fold=1),
    ]


def test_means_and_paired_differences_are_those_worked_out_by_hand() -> None:
    found = summarize(two_seeds(), ["none", "pam"])
    assert found["none"]["value"]["dice"]["mean"]["mean"] == pytest.approx((0.55 + 0.55 + 0.75) / 3)
    assert found["none"]["value"]["dice"]["a"]["mean"] == pytest.approx((0.5 + 0.5 + 0.75) / 3)
    assert found["pam"]["value"]["hd95_mm"]["mean"]["mean"] == pytest.approx((6.5 + 7.5 + 7.5) / 3)
    difference = found["pam"]["difference"]["dice"]["mean"]
    assert difference["mean"] == pytest.approx((0.1 + 0.2 + 0.0) / 3)
    assert difference["n"] == 3
    assert found["pam"]["by_seed"] == {
        "0": pytest.approx((0.1 + 0.1 - 0.1) / 3),
        "1": pytest.approx((0.1 + 0.3 + 0.1) / 3),
    }
    assert found["pam"]["seed_sd"] == pytest.approx(abs(0.1 - 0.5) / 3 / math.sqrt(2))
    assert found["pam"]["pairs"] == {"better": 3, "all": 4}
    assert found["none"]["seconds_per_epoch"] == pytest.approx((20 + 30) / 2 / 5)
    assert found["none"]["cpu_seconds_per_epoch"] == pytest.approx((20 + 30) / 5)
    assert (found["none"]["parameters"], found["none"]["runs"]) == (104, 4)
    assert "difference" not in found["none"]


def test_the_interval_of_the_difference_is_the_bootstrap_of_scipy() -> None:
    rng = np.random.default_rng(5)
    plain, gain = rng.uniform(0.6, 0.9, 20), rng.normal(0.02, 0.01, 20)
    rows = {f"case{i}": (value, value) for i, value in enumerate(plain)}
    better = {f"case{i}": (value, value) for i, value in enumerate(plain + gain)}
    found = summarize([result("none", rows), result("pam", better)], ["none", "pam"])["pam"]
    difference = found["difference"]["dice"]["mean"]
    expected = stats.bootstrap((gain,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(1))
    low, high = expected.confidence_interval
    assert difference["mean"] == pytest.approx(gain.mean())
    assert difference["low"] == pytest.approx(low, abs=0.1 * gain.std())
    assert difference["high"] == pytest.approx(high, abs=0.1 * gain.std())
    assert found["shown"] == {"a": "gain", "b": "gain", "mean": "gain"}
    assert math.isnan(found["seed_sd"])
    assert found["p"] == found["p_holm"] < 0.001


def test_a_difference_is_taken_only_where_both_sides_are_defined() -> None:
    none = result("none", {"x": (0.5, None), "y": (0.4, 0.8), "z": (None, None)})
    pam = result("pam", {"x": (0.6, 0.0), "y": (0.6, 0.8), "z": (None, 0.0)})
    found = summarize([none, pam], ["none", "pam"])["pam"]["difference"]["dice"]
    assert (found["a"]["mean"], found["a"]["n"]) == (pytest.approx(0.15), 2)
    assert (found["b"]["mean"], found["b"]["n"]) == (pytest.approx(0.0), 1)
    assert (found["mean"]["mean"], found["mean"]["n"]) == (pytest.approx((0.1 + 0.1) / 2), 2)


def test_a_run_that_is_missing_leaves_its_counterpart_out_of_the_difference() -> None:
    results = [item for item in two_seeds() if (item["attention"], item["seed"], item["fold"]) != ("pam", 1, 0)]
    found = summarize(results, ["none", "pam"])["pam"]
    assert found["difference"]["dice"]["mean"]["mean"] == pytest.approx((0.1 + 0.1 + 0.0) / 3)
    assert found["pairs"]["all"] == 3
    assert found["runs"] == 3


def test_nothing_is_compared_where_no_run_was_finished() -> None:
    found = summarize([result("none", {"x": (0.5, 0.5)})], ["none", "pam"])["pam"]
    assert (found["runs"], found["parameters"], found["seconds_per_epoch"]) == (0, None, None)
    assert found["shown"]["mean"] == "no difference shown"
    assert math.isnan(found["p_holm"])
    empty = summarize([], ["none", "pam"])
    assert math.isnan(empty["none"]["value"]["dice"]["mean"]["mean"])


def test_the_table_of_a_metric_is_seeds_by_cases_by_structures() -> None:
    table = collect(two_seeds(), ["none", "pam"], "dice")["pam"]
    assert table.shape == (2, 3, 3)
    np.testing.assert_allclose(table[1, 1], [0.7, 0.9, 0.8])


def brute_force_p(values: list[float]) -> float:
    means = [np.mean(np.multiply(signs, values)) for signs in itertools.product([1, -1], repeat=len(values))]
    return float(np.mean(np.abs(means) >= abs(np.mean(values)) - 1e-12))


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [0.1, -0.2, 0.5, 0.4], [0.3, 0.3, -0.1, 0.2, 0.0, 0.9]])
def test_the_p_value_is_that_of_all_sign_flips(values: list[float]) -> None:
    assert sign_flip_p(values) == pytest.approx(brute_force_p(values))
    assert sign_flip_p([*values, math.nan]) == sign_flip_p(values)


def test_many_differences_give_nearly_the_p_value_of_the_t_test() -> None:
    values = np.random.default_rng(3).normal(0.25, 1, 60)
    assert sign_flip_p(values.tolist()) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_no_difference_at_all_has_p_one_and_a_single_one_has_no_p() -> None:
    assert sign_flip_p([0.0, 0.0, 0.0]) == 1
    assert math.isnan(sign_flip_p([0.2, math.nan]))


def test_holm_multiplies_by_the_hypotheses_left_and_never_falls() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan})
    assert [found[name] for name in "abc"] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(found["d"])
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.02, "gain"),
        (-0.02, -0.01, "loss"),
        (-0.01, 0.01, "no difference shown"),
        (0.0, 0.0, "no difference shown"),
        (math.nan, math.nan, "no difference shown"),
    ],
)
def test_only_an_interval_that_excludes_zero_shows_something(low: float, high: float, expected: str) -> None:
    assert shown({"low": low, "high": high}) == expected
