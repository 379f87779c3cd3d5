"""Scores of cases and their statistics."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bundle.experiments.crossval.fold_scores import mean_of_key, paired, read_scores, summarize


def scores(*rows: tuple[str, str, float | None]) -> dict[str, Any]:
    found = [{"case": case, "structure": structure, "dice": dice} for case, structure, dice in rows]
    return {"rows": found, "thresholds": None}


def classified(case: str, probability: float, label: int | None) -> dict[str, Any]:
    return {"case": case, "structure": "melanoma", "probability": probability, "label": label}


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "metrics.json"
    path.write_text(json.dumps(content))
    return path


def test_rows_of_structures_are_read_as_they_are(tmp_path: Path) -> None:
    row = {"case": "a", "structure": "liver", "dice": 0.5, "hd95_mm": None}
    assert read_scores(written(tmp_path, {"cases": [row]})) == {"rows": [row], "thresholds": None}


def test_rows_of_classes_keep_their_thresholds(tmp_path: Path) -> None:
    row = {"case": "a", "class": "melanoma", "probability": 0.5, "label": 1, "note": "text"}
    found = read_scores(written(tmp_path, {"cases": [row], "thresholds": {"melanoma": 0.3}}))
    assert found == {"rows": [classified("a", 0.5, 1)], "thresholds": {"melanoma": 0.3}}


def test_rows_of_whole_cases_have_metrics_of_their_own(tmp_path: Path) -> None:
    case = {"case": "a", "group": "x", "metrics": {"level_right": 1, "distance": 2.5}, "levels": [{"level": 3}]}
    (row,) = read_scores(written(tmp_path, {"cases": [case]}))["rows"]
    assert row == {"case": "a", "structure": "case", "level_right": 1, "distance": 2.5}


def test_means_are_over_the_cases_of_all_parts() -> None:
    parts = [scores(("a", "x", 0.2), ("a", "y", 0.4)), scores(("b", "x", 0.6), ("b", "y", None))]
    found = summarize(parts)
    assert found["x"]["dice"]["mean"] == pytest.approx(0.4)
    assert (found["y"]["dice"]["mean"], found["y"]["dice"]["n"]) == (pytest.approx(0.4), 1)
    assert found["mean"]["dice"]["mean"] == pytest.approx((0.3 + 0.6) / 2)


def test_one_structure_has_no_separate_mean() -> None:
    assert list(summarize([scores(("a", "x", 0.2))])) == ["x"]


def test_classes_are_pooled_over_all_cases_with_a_known_label() -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1] * 10
    probability = (rng.random(20) * 0.6 + 0.3 * np.array(labels)).tolist()
    rows = [classified(f"c{i}", p, y) for i, (p, y) in enumerate(zip(probability, labels, strict=True))]
    parts = [
        {"rows": half, "thresholds": {"melanoma": 0.5}} for half in (rows[:8], [*rows[8:], classified("u", 0.9, None)])
    ]
    found = summarize(parts)["melanoma"]["auc"]
    assert found["mean"] == pytest.approx(roc_auc_score(labels, probability))
    assert found["low"] <= found["mean"] <= found["high"]
    assert found["n"] == 20


def test_the_key_is_the_first_metric_over_cases_and_structures() -> None:
    assert mean_of_key(scores(("a", "x", 0.2), ("b", "x", None), ("b", "y", 0.4))) == ("dice", pytest.approx(0.3))
    assert mean_of_key(scores(("a", "x", None))) == ("dice", pytest.approx(math.nan, nan_ok=True))
    assert mean_of_key(scores())[0] == "score"


def test_differences_are_taken_within_a_case_and_structure() -> None:
    first = scores(("a", "x", 0.5), ("b", "x", 0.7), ("c", "x", 0.1), ("d", "x", None))
    second = scores(("d", "x", 0.3), ("b", "x", 0.4), ("a", "x", 0.4))
    found = paired(first, second)["x"]["dice"]
    assert (found["mean"], found["n"]) == (pytest.approx(0.2), 2)


def test_the_key_of_a_classification_is_the_area_and_not_its_probabilities() -> None:
    right = [classified(f"c{i}", 0.1 + 0.01 * i + 0.02 * (i % 2), i % 2) for i in range(2)]
    wrong = [classified(f"c{i}", 0.9 - 0.1 * (i % 2), i % 2) for i in range(2)]
    thresholds = {"melanoma": 0.5}
    assert mean_of_key({"rows": right, "thresholds": thresholds}) == ("auc", pytest.approx(1.0))
    assert mean_of_key({"rows": wrong, "thresholds": thresholds}) == ("auc", pytest.approx(0.0))
