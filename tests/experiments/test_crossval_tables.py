"""What a cross-validation writes."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from bundle.experiments.crossval.crossval_tables import page, write_tables


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 4}


def content(**changes: Any) -> dict[str, Any]:
    summary = {"liver": {"dice": interval(0.7), "hd95_mm": interval(3.5)}}
    test = {
        "metric": "dice",
        "mean": {"fold0": 0.6, "ensemble": 0.65},
        "best": 0,
        "single": {"fold0": {"liver": {"dice": interval(0.6)}, "spleen": {}}},
        "ensemble": {"liver": {"dice": interval(0.65)}, "spleen": {}},
        "difference": {"liver": {"dice": interval(0.05)}},
    }
    return {
        "command": "python -m bundle crossval",
        "plan": {"dataset": "data", "cases": 4, "test_cases": 2, "epochs": 3, "versions": {"torch": "1"}},
        "failed": [],
        "skipped": [],
        "folds": {"0": {"cases": 2, "metric": "dice", "mean": 0.7}},
        "out_of_fold": summary,
        "test": test,
        **changes,
    }


def test_the_page_has_every_structure_metric_fold_and_network() -> None:
    text = page(content())
    assert "| liver | dice | 0.7000 [0.6000, 0.8000] | 4 |" in text
    assert "| liver | hd95_mm | 3.5000 [3.4000, 3.6000] | 4 |" in text
    assert "| 0 | 2 | 0.7000 |" in text
    assert "| fold0 | 0.6000 | 0.6000 [0.5000, 0.7000] | - |" in text
    assert "| ensemble | 0.6500 | 0.6500 [0.5500, 0.7500] | - |" in text
    assert "(fold 0), dice, paired: liver +0.0500 [-0.0500, +0.1500]." in text


def test_what_is_missing_is_reported() -> None:
    failed = [{"run": "fold1", "error": "ArithmeticError: it broke"}]
    text = page(content(test=None, failed=failed, skipped=["a.nii.gz: is empty"]))
    assert "- fold1 failed: ArithmeticError: it broke\n- a case was skipped: a.nii.gz: is empty" in text
    assert "not scored: not all folds are completed" in text
    assert "not scored: no case lies outside the training" in page(content(test=None))
    assert "4 cases in 1 folds" in page(content(folds={}, out_of_fold={}, test=None, failed=failed))


def test_all_rows_are_in_the_table_of_cases(tmp_path: Path) -> None:
    row = {"case": "a", "structure": "liver", "dice": 0.5}
    results = [{"fold": 0, "scores": {"rows": [row]}, "test": {"rows": [{**row, "case": "t"}]}}]
    write_tables(content(skipped=[math.nan]), results, {"rows": [{**row, "case": "t", "dice": 0.6}]}, tmp_path)
    with open(tmp_path / "crossval.csv", newline="") as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert rows == [
        ("fold0", "out of fold", "a", "liver", "0.5"),
        ("fold0", "test", "t", "liver", "0.5"),
        ("ensemble", "test", "t", "liver", "0.6"),
    ]
    assert json.loads((tmp_path / "crossval.json").read_text())["skipped"] == [None]
    assert (tmp_path / "crossval.md").read_text().startswith("# Cross-validation")


def test_without_an_ensemble_there_are_the_folds_alone(tmp_path: Path) -> None:
    results = [{"fold": 0, "scores": {"rows": [{"case": "a", "structure": "liver", "dice": None}]}}]
    write_tables(content(test=None), results, None, tmp_path)
    assert (tmp_path / "crossval.csv").read_text().splitlines() == [
        "model,split,case,structure,dice",
        "fold0,out of fold,a,liver,",
    ]
