"""A model folder is served, trained and scored like a shipped model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.model_folders import CLASSES, write_model
from helpers.phantoms import write_case

from bundle.cli import main as commands
from bundle.server.bundle_run import BundleRun
from bundle.server.bundle_training import BundleTraining
from bundle.server.label_tasks import TASKS, LabelTask, choose_tasks, served_tasks
from bundle.server.server_errors import StudiesError
from bundle.server.workflow_process import run_workflow


@pytest.fixture
def task(tmp_path: Path) -> LabelTask:
    write_model(tmp_path / "mine")
    (served,) = served_tasks(tmp_path / "mine")
    return LabelTask(served.name, served.folder, served.kind, work=tmp_path / "work", model=served.model)


def test_without_a_folder_all_tasks_are_served() -> None:
    assert served_tasks() == TASKS


def test_classes_and_description_are_those_of_the_model(task: LabelTask) -> None:
    assert task.all_labels == CLASSES
    assert task.metadata["description"] == "weights of mine: ball, shell"
    assert not task.finds_regions


def test_classes_of_images_are_numbered() -> None:
    classes = next(task for task in TASKS if task.name == "lesion_classes")
    assert classes.labels == {"melanoma": 0, "seborrheic_keratosis": 1}


def test_only_its_task_can_be_chosen(task: LabelTask, tmp_path: Path) -> None:
    write_case(tmp_path / "studies", "a", (8, 8, 8))
    with pytest.raises(StudiesError, match="--models discs: the model folder is of volumes"):
        choose_tasks(tmp_path / "studies" / "images", ["discs"], [task])


def test_an_image_is_segmented_with_its_settings(task: LabelTask, tmp_path: Path) -> None:
    write_case(tmp_path, "a", (16, 16, 16))
    result = BundleRun(task)(tmp_path / "images" / "a.nii.gz", tmp_path / "out", overrides={"plan": "fp32"})
    assert set(result.record["labels"]) == set(CLASSES)
    assert result.record["checkpoint"]["path"] == str(tmp_path / "mine" / "model.pt")


def test_it_is_trained_further_by_its_settings(task: LabelTask, tmp_path: Path) -> None:
    for number in range(2):
        write_case(tmp_path, f"case{number}", (16, 16, 16), seed=number)
    training = BundleTraining(task)
    options: dict[str, Any] = {"dataset_dir": str(tmp_path), "validation_split": "training", "fold": None}
    options |= {"epochs": 1, "device": "cpu", "checkpoint": str(task.served_weights)}
    run_workflow(training.config_file, options, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "model.json").read_text())["settings"]
    assert (found["label_names"], found["roi_size"]) == (CLASSES, [16, 16, 16])
    assert json.loads(task.config_file("evaluate.json").read_text())["label_values"] is None
    assert np.isfinite(json.loads((tmp_path / "run" / "summary.json").read_text())["seconds"])


def test_the_folder_reaches_the_server(task: LabelTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path / "studies", "a", (8, 8, 8))
    words = ["label", "--studies", str(tmp_path / "studies" / "images"), "--port", "0", "--work", str(tmp_path / "w")]
    assert commands.main([*words, "--model", "mine"]) == 0
    assert calls[0][1][-8:-5] == ["--conf", "model", str(tmp_path / "mine")]
