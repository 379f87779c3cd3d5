"""The folds of a cross-validation, one by one, and those of every task."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from contracts import config as contract
from helpers.workflows import SMALL, small_dataset
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.experiments import ExperimentError
from bundle.experiments.crossval import crossval
from bundle.experiments.crossval import fold_runs as runs
from bundle.experiments.crossval.crossval_plan import CrossvalPlan, plan_crossval
from bundle.experiments.experiment_folder import DATALIST
from bundle.phantoms.volumes.volume_phantoms import write_volume_phantoms

PICTURES = {
    **{"network_def#trunk": ["efficientnet_lite0", {"width": 0.25}], "network_def#channels": [8, 8, 8, 8]},
    **{"roi_size": [64, 64], "batch_size": 2, "amp": False, "pretrained": False},
}
TASKS: dict[str, dict[str, Any]] = {
    "lesion_segmentation": PICTURES,
    "cell_segmentation": PICTURES,
    "lesion_classification": {
        **{"network_def#width": 0.0625, "image_size": [48, 64], "roi_size": [32, 32], "crop_scales": [0.8]},
        **{"batch_size": 2, "amp": False},
    },
    "disc_labeling": {
        **{"network_def#width": 8, "roi_size": [64, 64], "samples_per_epoch": 2, "batch_size": 2, "gif_cases": 0},
        "slab_offsets_mm": [0.0],
    },
}
"""Overrides under which a task trains in seconds."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("data"), count=4)


def plan_of(dataset: Path, **options: Any) -> CrossvalPlan:
    return plan_crossval(dataset, epochs=1, **{"overrides": {**SMALL, "warmup": 0}, **options})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "model.pt", weights_only=True)


def test_a_fold_keeps_weights_and_result_alone(dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset)
    result = runs.run_fold(plan, 2, tmp_path)
    folder = tmp_path / "fold2"
    assert json.loads((folder / "result.json").read_text())["scores"]["rows"] == result["scores"]["rows"]
    assert {row["case"] for row in result["scores"]["rows"]} == {Path(name).stem[:-4] for name in plan.folds[2]}
    assert (folder / "model.pt").is_file()
    assert not (folder / "last.pt").exists()


@pytest.mark.parametrize("lost", ["summary.json", "model.pt"])
def test_a_training_that_was_cut_off_at_its_very_end_is_finished(lost: str, dataset: Path, tmp_path: Path) -> None:
    plan = plan_of(dataset)
    runs.train(plan, 0, tmp_path)
    whole = weights(tmp_path / "fold0")
    (tmp_path / "fold0" / lost).unlink()
    result = runs.run_fold(plan, 0, tmp_path)
    assert result["scores"]["rows"]
    assert all(torch.equal(value, whole[key]) for key, value in weights(tmp_path / "fold0").items())


def test_a_training_that_was_stopped_is_not_taken_as_whole(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(dataset)
    runs.train(plan, 0, tmp_path)
    path = tmp_path / "fold0" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stopped": True}))
    trained: list[int] = []
    train = runs.train
    monkeypatch.setattr(runs, "train", lambda plan, fold, output: trained.append(fold) or train(plan, fold, output))
    runs.run_fold(plan, 0, tmp_path)
    assert trained == [0]


def test_an_evaluation_that_was_cut_off_does_not_train_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(dataset)
    runs.train(plan, 0, tmp_path)
    monkeypatch.setattr(runs, "train", lambda *_: pytest.fail("trained again"))
    assert runs.run_fold(plan, 0, tmp_path)["scores"]["rows"]


@pytest.mark.slow
def test_several_processes_train_a_fold_together(tmp_path: Path) -> None:
    plan = plan_of(small_dataset(tmp_path / "data", count=6), folds=2, nproc=2)
    (tmp_path / DATALIST).write_text(json.dumps(plan.new_datalist))
    runs.train_in_processes(plan, 0, tmp_path)
    folder = tmp_path / "fold0"
    assert not [key for key in weights(folder) if key.startswith("module.")]
    assert json.loads((folder / "train.json").read_text())["rank"] == "$dist.get_rank()"
    assert "epoch 1/1" in (folder / "train.log").read_text()


def test_processes_that_leave_no_weights_are_an_error(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=7))
    with pytest.raises(ExperimentError, match=r"torchrun ended with status 7 .* see .*train\.log"):
        runs.train_in_processes(plan_of(dataset, nproc=2), 0, tmp_path)


def test_a_fold_of_several_processes_is_trained_by_them(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []

    def double(plan: CrossvalPlan, fold: int, output: Path) -> None:
        called.append(fold)
        runs.train(plan, fold, output)

    monkeypatch.setattr(runs, "train_in_processes", double)
    runs.run_fold(plan_of(dataset, nproc=2), 1, tmp_path)
    assert called == [1]


def test_what_an_overlay_reads_from_the_dataset_is_known_to_the_ensemble(tmp_path: Path) -> None:
    data = write_volume_phantoms("msd", tmp_path / "data", count=4, size=24)
    files = [Path(ROOT, "configs", name) for name in ("train.json", "datasets/msd.json")]
    overrides = {**SMALL, "pixdim": [1.0, 1.0, 1.0]}
    content = crossval(data, tmp_path / "out", config_file=files, folds=2, split_seed=0, epochs=1, overrides=overrides)
    assert content["failed"] == []
    names = json.loads((data / "dataset.json").read_text())["labels"].values()
    assert [*content["out_of_fold"]][:-1] == [name for name in names if name != "background"]
    workflow = create_workflow(
        config_file=[str(Path(ROOT, "configs", "inference.json")), str(tmp_path / "out" / "ensemble.json")],
        workflow_type="infer",
        logging_file=False,
        **{"input": str(data / "imagesTr"), "output_dir": str(tmp_path / "labels"), "device": "cpu", "plan": "fp32"},
    )
    workflow.run()
    assert len(list((tmp_path / "labels").glob("*_seg.nii.gz"))) == 4


@pytest.mark.filterwarnings("ignore:No positive samples:UserWarning")
@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_cross_validated(task: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    data = tmp_path / "data"
    contract.TASKS[task].write(data, 6)
    own: dict[str, Any] = {}
    if task == "disc_labeling":
        own = {"folds": 2, "split_seed": 0}
    elif task != "lesion_classification":
        own = {"datalist": _two_folds(data)}
    config = Path(ROOT, "configs", task, "train.json")
    overrides = {"device": "cpu", "warmup": 0, **TASKS[task]}
    content = crossval(data, tmp_path / "out", config_file=[config], epochs=1, overrides=overrides, **own)
    assert content["failed"] == []
    scored = {name for fold in content["folds"].values() for name in [fold["metric"]]}
    assert len(scored) == 1
    assert content["out_of_fold"]
    state = torch.load(tmp_path / "out" / "ensemble.pt", weights_only=True)
    assert {key.split(".")[1] for key in state} == {str(number) for number in range(len(content["folds"]))}


def _two_folds(data: Path) -> Path:
    """Write a datalist of two folds of the images in ``images`` and ``masks``."""
    names = sorted(path.name for path in (data / "images").iterdir())
    items = [{"image": f"images/{name}", "label": f"masks/{name}", "fold": i % 2} for i, name in enumerate(names)]
    path = data / "list.json"
    path.write_text(json.dumps({"training": items}))
    return path
