"""The networks of all folds as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.phantoms import write_case
from helpers.workflows import SMALL

from bundle import ROOT
from bundle.experiments.crossval.crossval_plan import TRAIN, CrossvalPlan, plan_crossval
from bundle.experiments.crossval.fold_ensemble import overlay, write_ensemble


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for number in range(3):
        write_case(folder, f"case{number}", (6, 6, 6))
    return folder


def plan_of(dataset: Path, **options: Any) -> CrossvalPlan:
    return plan_crossval(dataset, folds=2, **{"overrides": SMALL, **options})


def test_an_overlay_holds_what_the_ensemble_and_its_training_change(dataset: Path, tmp_path: Path) -> None:
    found = overlay(plan_of(dataset, overrides={**SMALL, "attention": "se", "overlap": 0.5}), "inference", tmp_path)
    assert found.keys() == {"roi_size", "attention", "overlap", "checkpoint", "network_def"}
    assert found["attention"] == "se"
    assert found["network_def"]["count"] == 2
    assert found["network_def"]["network"]["channels"] == [4, 8]
    assert Path(found["checkpoint"]) == tmp_path.resolve() / "ensemble.pt"


def test_what_further_files_say_is_in_the_overlay_too(dataset: Path, tmp_path: Path) -> None:
    files = [TRAIN, Path(ROOT, "configs", "networks", "vnet.json")]
    overrides = {"network_def#channels": [2, 4], "network_def#levels#convs": [1], "roi_size": [16, 16, 16]}
    found = overlay(plan_of(dataset, config_file=files, overrides=overrides), "evaluation", tmp_path)
    assert found["network_def"]["network"]["_target_"] == "bundle.networks.AttentionVNet"


def test_the_weights_are_those_of_the_folds_in_one_file(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset)
    for fold in plan.folds:
        (tmp_path / f"fold{fold}").mkdir()
        torch.save({"w": torch.full((2,), float(fold))}, tmp_path / f"fold{fold}" / "model.pt")
    config = write_ensemble(plan, tmp_path)
    state = torch.load(tmp_path / "ensemble.pt", weights_only=True)
    assert {key: value.tolist() for key, value in state.items()} == {"members.0.w": [0, 0], "members.1.w": [1, 1]}
    assert json.loads((tmp_path / "ensemble.json").read_text())["network_def"]["count"] == 2
    assert config["network_def"] == json.loads((tmp_path / "ensemble_evaluate.json").read_text())["network_def"]
    assert config["dataset"] == plan.configs["evaluation"]["dataset"]
