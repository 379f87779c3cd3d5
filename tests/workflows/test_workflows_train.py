"""Training as a whole, on phantoms."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.config import NETWORK_OVERLAYS
from contracts.network import NETWORKS
from helpers.phantoms import write_nifti
from helpers.warm_python import warm_command_line
from helpers.workflows import command_line, make_workflow, run_workflow, small_dataset, small_options
from monai.bundle import create_workflow

from bundle import ROOT


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("dataset"))


def weights(folder: Path, name: str = "model.pt") -> dict[str, Any]:
    return torch.load(folder / name, weights_only=True)


def test_an_epoch_leaves_weights_state_summary_and_scalars(dataset: Path, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    run_workflow("train.json", dataset_dir=str(dataset), output_dir=str(tmp_path), epochs=1)
    assert {"model.pt", "last.pt", "summary.json"} <= {path.name for path in tmp_path.iterdir()}
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    started = set(threading.enumerate()) - before
    assert not [thread for thread in started if "tensorboard" in type(thread).__module__]
    assert json.loads((tmp_path / "summary.json").read_text())["failures"] == []
    assert weights(tmp_path, "last.pt")["epoch"] == 1


def test_training_learns_the_phantoms(dataset: Path, tmp_path: Path) -> None:
    """Two halves of a ball: after a few epochs they are found far better than by chance."""
    workflow = run_workflow(
        "train.json",
        dataset_dir=str(dataset),
        output_dir=str(tmp_path),
        epochs=12,
        learning_rate=0.02,
        **{"train#random_transforms": []},
    )
    assert workflow.evaluator.state.best_metric > 0.6


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("train.json", {"attention": "se"}),
        ("train.json", {"attention": None, "deep_supervision": True, "lr_schedule": "poly", "amp": False}),
        (["train.json", "networks/vnet.json"], {"network_def#levels#convs": [1], "early_stop": 1}),
    ],
    ids=["se", "deep supervision", "vnet"],
)
def test_variants_are_overrides(config: Any, overrides: dict[str, Any], dataset: Path, tmp_path: Path) -> None:
    run_workflow(config, dataset_dir=str(dataset), output_dir=str(tmp_path), epochs=1, **overrides)
    assert (tmp_path / "model.pt").is_file()


@pytest.mark.parametrize("overlay", NETWORK_OVERLAYS)
def test_every_network_trains_by_its_overlay(overlay: str, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", count=3, size=32)
    (case,) = (case for case in NETWORKS if case.name == NETWORK_OVERLAYS[overlay])
    small = {f"network_def#{name}": value for name, value in case.small.items()}
    if overlay == "deepmedic_wide":
        small |= {"network_def#residual": [3], "network_def#fc_channels": [20, 20]}
    options = {"dataset_dir": str(data), "output_dir": str(tmp_path), "roi_size": [32, 32, 32], "epochs": 1}
    workflow = create_workflow(
        config_file=[str(Path(ROOT, "configs", name)) for name in ("train.json", f"networks/{overlay}.json")],
        workflow_type="train",
        logging_file=False,
        **{"device": "cpu", **small, **options},
    )
    workflow.run()
    workflow.finalize()
    assert (tmp_path / "model.pt").is_file()


class CrashError(Exception):
    """Something that ends a training from outside."""


def test_a_resumed_training_ends_bit_equal_to_an_uninterrupted_one(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "epochs": 4, "seed": 3}
    run_workflow("train.json", output_dir=str(tmp_path / "whole"), **options)

    from ignite.engine import Events

    interrupted = make_workflow("train.json", output_dir=str(tmp_path / "parts"), **options)
    trainer = interrupted.trainer

    @trainer.on(Events.ITERATION_STARTED(once=5))
    def crash(_: Any) -> None:
        raise CrashError

    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        interrupted.run()
    assert weights(tmp_path / "parts", "last.pt")["epoch"] == 2
    run_workflow("train.json", output_dir=str(tmp_path / "parts"), resume=True, **options)

    for name in ("model.pt", "last.pt"):
        _assert_equal(weights(tmp_path / "whole", name), weights(tmp_path / "parts", name))


def _assert_equal(first: Any, second: Any) -> None:
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            _assert_equal(first[key], second[key])
    elif isinstance(first, list):
        for a, b in zip(first, second, strict=True):
            _assert_equal(a, b)
    else:
        assert first == second


def test_a_training_is_resumed_with_more_epochs_and_not_with_another_fold(dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path)}
    run_workflow("train.json", epochs=1, **options)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError) as error:
        run_workflow("train.json", epochs=1, resume=True, fold=1, **options)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    cause: BaseException = error.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert "last.pt is of a training with other settings: fold is 0 there and 1 here;" in str(cause)
    run_workflow("train.json", epochs=2, resume=True, **options)
    assert weights(tmp_path, "last.pt")["epoch"] == 2


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run_workflow("train.json", dataset_dir=str(dataset), output_dir=str(folder), epochs=1)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roi_size": [16, 16, 8]}, "roi_size is [16, 16, 16] there and [16, 16, 8] here"),
        ({"pixdim": [2.0, 1.0, 1.0]}, "pixdim is [1.0, 1.0, 1.0] there and [2.0, 1.0, 1.0] here"),
        ({"fold": 1}, "fold is 0 there and 1 here"),
        ({"label_names": {"anterior": 2, "posterior": 1}}, "label_names#anterior is 1 there and 2 here"),
        ({"dataset_dir": "other"}, "_cases#case"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_training_is_not_resumed_with_other_settings(
    dataset: Path, trained: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(trained), **change}
    if "dataset_dir" in change:
        options["dataset_dir"] = str(small_dataset(tmp_path, size=18))
    with pytest.raises(RuntimeError) as error:
        run_workflow("train.json", epochs=2, resume=True, **options)
    cause: BaseException = error.value
    while cause.__cause__ is not None:
        cause = cause.__cause__
    assert "last.pt is of a training with other settings: " in str(cause)
    assert message in str(cause)
    assert weights(trained, "last.pt")["epoch"] == 1


def test_the_command_refuses_in_one_line_to_resume_with_another_patch(dataset: Path, trained: Path) -> None:
    places = ("--dataset_dir", str(dataset), "--output_dir", str(trained), "--epochs", "2", "--resume", "true")
    patch = ("--roi_size", "[16, 16, 8]")
    result = warm_command_line(
        "monai.bundle", "run", "--config_file", "configs/train.json", *places, *small_options(), *patch
    )
    assert result.returncode == 2
    last = result.stdout.splitlines()[-1]
    assert "last.pt is of a training with other settings: roi_size is [16, 16, 16] there and [16, 16, 8] here" in last
    assert "Traceback" not in result.stdout


def test_weights_for_other_classes_are_trained_with_a_new_head(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"dataset_dir": str(dataset), "epochs": 1}
    run_workflow("train.json", output_dir=str(tmp_path / "two"), **options)
    start = {"checkpoint": str(tmp_path / "two" / "model.pt"), "label_names": {"anterior": 1, "posterior": 2, "x": 3}}
    run_workflow("train.json", output_dir=str(tmp_path / "three"), checkpoint_head="new", **options, **start)
    assert "loaded without the 2 tensors of the head, which are new" in caplog.text
    shapes = {name: value.shape for name, value in weights(tmp_path / "three").items()}
    changed = {name for name, value in weights(tmp_path / "two").items() if value.shape != shapes[name]}
    assert {shapes[name][0] for name in changed} == {4}


def test_a_bad_case_is_skipped_and_reported_at_the_end(dataset: Path, tmp_path: Path) -> None:
    folder = small_dataset(tmp_path / "data", count=4)
    broken = np.full((16, 16, 16), np.nan, np.float32)
    write_nifti(folder / "images" / "case9.nii.gz", broken)
    write_nifti(folder / "labels" / "case9.nii.gz", np.zeros((16, 16, 16), np.uint8))
    with pytest.raises(SystemExit) as end:
        run_workflow("train.json", dataset_dir=str(folder), output_dir=str(tmp_path / "out"), epochs=1)
    assert end.value.code == 2
    failures = json.loads((tmp_path / "out" / "summary.json").read_text())["failures"]
    assert [(failure["case"], failure["error"]) for failure in failures] == [("case9", "NonFiniteVoxelsError")]
    assert (tmp_path / "out" / "model.pt").is_file()


def test_the_command_line_takes_the_overrides_that_users_try(dataset: Path, tmp_path: Path) -> None:
    datalist = tmp_path / "my.json"
    items = [{"image": f"images/case{i}.nii.gz", "label": f"labels/case{i}.nii.gz", "fold": i % 2} for i in range(4)]
    datalist.write_text(json.dumps({"training": items}))
    options = ["--attention", "se", "--epochs", "3", "--device", "cpu", "--datalist", str(datalist)]
    run = command_line(
        *("monai.bundle", "run", "--config_file", "configs/train.json", "--dataset_dir", str(dataset)),
        *("--output_dir", str(tmp_path / "out"), "--roi_size", "[16,16,16]", "--network_def#channels", "[4,8,16]"),
        *options,
    )
    assert run.returncode == 0, run.stdout
    assert "epoch 3/3" in run.stdout
    assert "2 cases of the split 'validation'" in run.stdout
    assert weights(tmp_path / "out")["encoders.2.0.1.0.weight"].shape[0] == 16


@pytest.mark.slow
def test_two_processes_train_together_under_torchrun(tmp_path: Path) -> None:
    dataset = small_dataset(tmp_path / "data", count=10)
    run = command_line(
        *("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "monai.bundle", "run"),
        *("--config_file", "['configs/train.json','configs/multi_gpu_train.json']", "--dataset_dir", str(dataset)),
        *("--output_dir", str(tmp_path / "out"), "--epochs", "2", *small_options()),
    )
    assert run.returncode == 0, run.stdout
    assert run.stdout.count("epoch 2/2") == 1
    assert not [key for key in weights(tmp_path / "out") if key.startswith("module.")]


def test_a_training_is_tracked_by_mlflow_on_request(dataset: Path, tmp_path: Path) -> None:
    run = warm_command_line(
        *("monai.bundle", "run", "--config_file", "configs/train.json", "--dataset_dir", str(dataset)),
        *("--output_dir", str(tmp_path / "out"), "--epochs", "1", "--tracking", "mlflow", *small_options()),
    )
    assert run.returncode == 0, run.stdout
    assert (tmp_path / "out" / "mlruns.db").is_file()


def test_an_unknown_attention_is_a_clear_error(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        run_workflow("train.json", dataset_dir=str(dataset), output_dir=str(tmp_path), attention="pan", epochs=1)
    cause: BaseException | None = error.value
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    assert "attention 'pan' is unknown; choose one of ag, cbam, csa" in str(cause)
