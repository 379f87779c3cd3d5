from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from test_comparison_statistics import result

from bundle.experiments.compare.comparison_statistics import summarize
from bundle.experiments.compare.comparison_tables import page, sentences, write_tables

PLAN = {
    "dataset": "hippocampus",
    "cases": 30,
    "training_cases": [20, 20],
    "folds": [0, 1],
    "seeds": [0],
    "epochs": 5,
    "versions": {"torch": "2.13.0"},
}


def results_of(difference: float, cases: int = 12, seeds: int = 1) -> list[dict[str, Any]]:
    """Return a mechanism that adds ``difference`` in every case of every seed, give or take a little."""
    found = []
    for seed in range(seeds):
        plain = {f"case{i}": (0.5 + 0.01 * i, 0.6) for i in range(cases)}
        other = {name: (a + difference + 0.001 * (a - 0.55), b + difference) for name, (a, b) in plain.items()}
        found += [result("none", plain, seed), result("pam", other, seed)]
    return found


def content_of(results: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    summary = summarize(results, ["none", "pam"])
    base = {"command": "python -m bundle compare", "plan": PLAN, "devices": ["cpu"], "failed": [], "skipped": []}
    return {**base, "results": summary, **other}


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.02, "`pam`: gain in mean Dice, +0.0200 ["), (-0.02, "`pam`: loss in mean Dice, -0.0200 [")],
)
def test_a_gain_and_a_loss_are_reported_with_their_interval(difference: float, expected: str) -> None:
    (sentence,) = sentences(summarize(results_of(difference), ["none", "pam"]))
    assert sentence.startswith(expected)
    better = 1 if difference > 0 else 0
    assert sentence.endswith(f"over 12 cases, better in {better} of 1 pairs of trainings.")


def test_a_gain_that_the_corrected_test_does_not_confirm_is_recorded_so() -> None:
    (sentence,) = sentences(summarize(results_of(0.02, cases=4), ["none", "pam"]))
    assert sentence.endswith("; the corrected test does not agree (p = 0.125).")


def test_no_difference_is_called_not_shown() -> None:
    (sentence,) = sentences(summarize(results_of(0.0), ["none", "pam"]))
    assert sentence.startswith("`pam`: no difference shown in mean Dice, ")


def test_the_page_names_budget_table_and_structures() -> None:
    text = page(content_of(results_of(0.02)))
    assert "```\npython -m bundle compare\n```" in text
    assert "hippocampus, 30 cases scored" in text
    assert "2 folds x 1 seeds, 5 epochs of 20 cases each" in text
    assert "| `none` | 104 | 2.0 (4.0) | 0.5775 [" in text
    assert "| a: Dice | a: difference | b: Dice | b: difference |" in text
    assert "| gain |" in text
    assert "Versions: torch 2.13.0. Devices: cpu." in text
    assert "Missing" not in text


def test_the_page_names_what_is_missing() -> None:
    failed = [{"run": "fold0_seed0_pam", "error": "ValueError: no"}]
    plan = {**PLAN, "training_cases": [20, 21]}
    text = page(content_of([], failed=failed, skipped=["a.nii.gz: empty"], plan=plan))
    assert "- fold0_seed0_pam failed: ValueError: no\n- a case was skipped: a.nii.gz: empty" in text
    assert "epochs of 20 to 21 cases" in text
    assert "| `pam` | - | - | - | - |" in text


def test_files_hold_every_case_and_no_nan(tmp_path: Path) -> None:
    results = results_of(0.02, cases=1)
    results[0]["rows"][0]["dice"] = None
    write_tables(content_of(results), results, tmp_path)
    with open(tmp_path / "comparison.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["attention"] for row in rows] == ["none", "none", "pam", "pam"]
    assert rows[0]["dice"] == ""
    text = (tmp_path / "comparison.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["results"]["pam"]["seed_sd"] is None
