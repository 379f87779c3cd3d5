from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti

from bundle.server import bundle_training as train
from bundle.server.bundle_training import BundleTraining, LabelsError, check_labels
from bundle.server.datastore import StudyDatastore
from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.server_errors import RequestError
from bundle.server.workarounds.shared_datastore import SharedDatastore
from bundle.server.workflow_process import WorkflowError

CONFIG = json.loads((TASKS[0].config_dir / "train.json").read_text())


@pytest.fixture
def task(tmp_path: Path) -> LabelTask:
    return replace(TASKS[0], work=tmp_path / "work")


@pytest.fixture
def label(studies: Path, tmp_path: Path) -> Callable[..., StudyDatastore]:
    """A copy of the studies; some images have final labels, with the true or with other values."""

    def make(count: int, value: int = 1) -> StudyDatastore:
        folder = tmp_path / "studies"
        shutil.copytree(studies, folder, ignore=shutil.ignore_patterns("hippocampus*", "labels", "datastore*", ".*"))
        final = folder / "labels" / "final"
        final.mkdir(parents=True)
        for file in sorted(folder.glob("phantom_*"))[:count]:
            shutil.copyfile(studies.with_name("studies_labels") / file.name, final / file.name)
            if value != 1:
                write_nifti(final / file.name, np.full((24, 26, 24), value, np.uint8))
        return StudyDatastore(str(folder), "volume")

    return make


def replace_tasks(store: StudyDatastore, tasks: Sequence[LabelTask]) -> StudyDatastore:
    """Let a datastore serve other tasks."""
    store.tasks = list(tasks)
    return store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the workflow, which is replaced by one that saves weights with one number."""
    calls: list[dict[str, Any]] = []

    def run(config: Path, overrides: dict[str, Any], folder: Path) -> dict[str, Any]:
        calls.append({"config": config, **overrides})
        folder.mkdir(parents=True)
        torch.save({"w": torch.ones(1)}, folder / "model.pt")
        torch.save({"best_metric": 0.75 if overrides["epochs"] == 3 else -1.0}, folder / "last.pt")
        return {"failures": [{"message": "left out"}] if overrides["epochs"] == 3 else []}

    monkeypatch.setattr(train, "run_workflow", run)
    return calls


def test_the_panel_contains_the_options_of_the_config(task: LabelTask) -> None:
    volumes, discs = (BundleTraining(each).config() for each in (task, TASKS[1]))
    assert volumes["batch_size"] == CONFIG["batch_size"]
    assert "samples_per_epoch" not in volumes
    assert discs["samples_per_epoch"] > 0
    assert (volumes["pretrained"], volumes["max_epochs"], volumes["val_split"]) == (True, train.EPOCHS, 0.2)


def test_a_training_is_described_with_the_version_of_its_metadata(task: LabelTask) -> None:
    found = BundleTraining(task).info()
    assert found["version"] == task.metadata["version"]
    assert found["config"] == BundleTraining(task).config()
    assert task.metadata["description"] in found["description"]


@pytest.mark.parametrize(
    "request_", [{"max_epochs": 0}, {"val_split": 1}, {"pretrained": 3}, {"device": "tpu"}, {"batch_size": "big"}]
)
def test_options_out_of_range_are_refused(request_: dict[str, Any], task: LabelTask, label) -> None:
    with pytest.raises(RequestError, match=next(iter(request_))) as caught:
        BundleTraining(task)(request_, label(1))
    assert caught.value.status == 400


def test_without_labels_nothing_is_trained(task: LabelTask, label, asked) -> None:
    with pytest.raises(RequestError, match="volumes: no image has a final label; submit one") as caught:
        BundleTraining(task)({}, label(0))
    assert (caught.value.status, asked) == (409, [])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_labels_are_used_for_training_and_validation(count: int, task: LabelTask, label, asked) -> None:
    training = BundleTraining(task)
    found = training({"max_epochs": 2, "device": "cpu"}, label(count))
    assert found["trained_on"] == [f"phantom_{index}" for index in range(count)]
    assert found["validated_on"] == "the training cases"
    assert (found["epochs"], found["best_metric"], found["skipped"]) == (2, None, [])
    assert training.stats() == found
    assert asked[0]["config"] == task.config_dir / "train.json"
    assert (asked[0]["epochs"], asked[0]["device"]) == (2, "$torch.device('cpu')")


def test_a_fraction_of_more_labels_is_held_out(task: LabelTask, label, asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundle.server.final_labels.MIN_CASES_TO_SPLIT", 3)
    found = BundleTraining(task)({"val_split": 0.34, "max_epochs": 3}, label(3))
    assert len(found["validated_on"]) == 1
    assert sorted(found["trained_on"] + found["validated_on"]) == ["phantom_0", "phantom_1", "phantom_2"]
    assert (found["best_metric"], found["skipped"]) == (0.75, ["left out"])


@pytest.mark.parametrize(("count", "request_", "size"), [(1, {}, 1), (3, {}, 2), (3, {"batch_size": 8}, 3)])
def test_a_batch_is_not_larger_than_the_training_set(count, request_, size, task: LabelTask, label, asked) -> None:
    BundleTraining(task)(request_, label(count))
    assert asked[0]["batch_size"] == size


def test_samples_per_epoch_replace_the_limit_of_the_batch_size(
    label, asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "check_labels", lambda *_: None)
    BundleTraining(replace(TASKS[1], work=tmp_path / "work"))(
        {"samples_per_epoch": 8}, replace_tasks(label(1), TASKS[1:2])
    )
    assert (asked[0]["samples_per_epoch"], "batch_size" in asked[0]) == (8, False)


def test_trained_weights_are_served_instead_of_the_shipped_ones(task: LabelTask, label, asked) -> None:
    before = task.shipped_weights.read_bytes()
    assert task.served_weights == task.shipped_weights
    store = label(1)
    BundleTraining(task)({}, store)
    assert task.served_weights == task.trained_weights
    assert torch.load(task.served_weights, weights_only=True)["w"].tolist() == [1.0]
    assert task.shipped_weights.read_bytes() == before
    BundleTraining(task)({}, store)
    assert [call["checkpoint"] for call in asked] == [str(task.shipped_weights), str(task.trained_weights)]


def test_training_from_served_weights_has_a_smaller_learning_rate(task: LabelTask, label, asked) -> None:
    store = label(1)
    for request in ({}, {"pretrained": False}, {"learning_rate": 0.5}):
        BundleTraining(task)(request, store)
    rates = [call["learning_rate"] / CONFIG["learning_rate"] for call in asked]
    assert rates == pytest.approx([train.FINE_TUNING, 1, 0.5 / CONFIG["learning_rate"]])
    assert asked[1]["checkpoint"] is None


def test_a_training_that_fails_leaves_the_served_weights(task: LabelTask, label, monkeypatch) -> None:
    def fail(*_: Any) -> None:
        raise WorkflowError("out of memory")

    monkeypatch.setattr(train, "run_workflow", fail)
    with pytest.raises(WorkflowError, match="out of memory"):
        BundleTraining(task)({}, label(1))
    assert task.served_weights == task.shipped_weights
    assert BundleTraining(task).stats() == {}


def test_labels_with_unknown_values_are_reported_before_training(task: LabelTask, label, asked) -> None:
    with pytest.raises(LabelsError) as caught:
        BundleTraining(task)({}, label(2, value=7))
    lines = str(caught.value).splitlines()
    assert lines[0] == "not trained, because these labels are invalid:"
    assert [Path(line.split(": ")[0]).name for line in lines[1:]] == ["phantom_0.nii.gz", "phantom_1.nii.gz"]
    assert all("holds the values 7, which are none of the classes" in line for line in lines[1:])
    assert asked == []


def test_the_file_is_added_to_an_error_without_one(tmp_path: Path) -> None:
    config = {
        "train": {
            "deterministic_transforms": [{"_target_": "Lambdad", "keys": "image", "func": "$lambda path: 1 / 0"}],
            "dataset": {"data": [{"case": "a", "image": "a.png", "label": "b.png"}]},
        },
        "validate": {"dataset": {"data": "@train#dataset#data"}},
    }
    file = tmp_path / "train.json"
    file.write_text(json.dumps(config))
    with pytest.raises(LabelsError, match=r"b\.png: ZeroDivisionError: division by zero"):
        check_labels(file, {})


def test_a_label_that_cannot_be_converted_is_reported_before_training(task: LabelTask, label, asked) -> None:
    store = label(1, value=7)
    SharedDatastore.update_label_info(store, "phantom_0", "final", {"label_info": [{"name": "anterior", "idx": 1}]})
    with pytest.raises(LabelsError, match=r"not trained.*\n.*phantom_0.nii.gz: holds the values 7"):
        BundleTraining(task)({}, store)
    assert asked == []


def test_labels_of_another_task_are_not_trained(task: LabelTask, label, asked) -> None:
    with pytest.raises(RequestError, match="discs: no image has a final label of C1-C2, C2-C3, C3-C4; submit one"):
        BundleTraining(replace(TASKS[1], work=task.work))({}, label(1))


def test_a_label_without_classes_is_reported(label, tmp_path: Path, asked) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(TASKS[0].config_dir, configs, ignore=lambda folder, names: [n for n in names if "." not in n])
    content = json.loads((configs / "train.json").read_text())
    content["train"]["dataset"]["data"]["_target_"] = "bundle.data.select_classified"
    (configs / "train.json").write_text(json.dumps(content))
    task = replace(TASKS[0], root=tmp_path, work=tmp_path / "work")
    with pytest.raises(LabelsError, match=r"phantom_0\.nii\.gz: contains no classes"):
        BundleTraining(task)({"pretrained": False}, label(1))
