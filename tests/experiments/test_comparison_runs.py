"""The runs of a comparison, one by one."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from helpers.workflows import SMALL, small_dataset

from bundle.experiments.compare import comparison_runs as runs
from bundle.experiments.compare.comparison_plan import ComparisonPlan, build_network, plan_comparison
from bundle.experiments.experiment_folder import DATALIST


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[ComparisonPlan, Path]:
    """A plan of one mechanism, and its folder."""
    dataset, output = small_dataset(tmp_path_factory.mktemp("data"), count=4), tmp_path_factory.mktemp("out")
    plan = plan_comparison(dataset, attention=[None], folds=2, seeds=1, epochs=1, overrides=SMALL)
    (output / DATALIST).write_text(json.dumps(plan.datalist), encoding="utf-8")
    return plan, output


@pytest.mark.parametrize(
    ("dice", "expected"), [([0.5, 0.7], 0.6), ([0.5, None, 0.7], 0.6), ([None], math.nan), ([], math.nan)]
)
def test_mean_dice_is_over_the_structures_that_have_one(dice: list[float | None], expected: float) -> None:
    result = {"rows": [{"dice": value} for value in dice]}
    assert runs.mean_dice(result) == pytest.approx(expected, nan_ok=True)


def test_a_run_trains_from_the_weights_of_the_plan_and_keeps_its_result(
    planned: tuple[ComparisonPlan, Path],
) -> None:
    plan, output = planned
    one = plan.runs()[0]
    result = runs.run_one(plan, one, output, {})
    folder = output / "runs" / one.name
    assert json.loads((folder / "result.json").read_text()) == result
    assert not list(folder.glob(".partial*"))
    assert not (folder / "train" / "last.pt").exists()
    assert result["parameters"] == sum(value.numel() for value in build_network(plan, "none").parameters())
    held_out = {Path(case["image"]).name.split(".")[0] for case in plan.datalist["training"] if case["fold"] == 0}
    assert {row["case"] for row in result["rows"]} == held_out


def test_the_network_that_is_scored_is_the_one_that_was_trained(planned: tuple[ComparisonPlan, Path]) -> None:
    plan, output = planned
    one, start = plan.runs()[0], build_network(plan, "none").state_dict()
    network, times = runs.train(plan, one, output, {})
    assert any(not torch.equal(value, start[key]) for key, value in network.state_dict().items())
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    assert runs.evaluate(plan, one, output, network) == runs.evaluate(plan, one, output, network)
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    assert times["cpu_seconds"] > 0


def test_the_log_is_as_loud_as_before_after_a_run_that_failed(
    planned: tuple[ComparisonPlan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert logging.getLogger("bundle.training").level == logging.WARNING
        raise ArithmeticError("it broke")

    before = {name: logging.getLogger(name).level for name in runs.QUIET}
    monkeypatch.setattr(runs, "run_one", fail)
    results, failed = runs.run_comparison(planned[0], tmp_path)
    assert results == []
    assert [item["error"] for item in failed] == ["ArithmeticError: it broke"] * 2
    assert {name: logging.getLogger(name).level for name in runs.QUIET} == before
