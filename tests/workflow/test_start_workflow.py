"""The first step of a workflow checks its options and uses a model folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.model_folders import CLASSES, write_model
from monai.bundle import create_workflow

from bundle.workflow import StartWorkflow
from bundle.workflow.model_folder import ModelFolderError
from bundle.workflow.training_folder import TrainingFolderError

COMMAND_LINE = ["/site/monai/bundle/__main__.py", "run"]


def start(folder: Path, **options: Any) -> Any:
    step = {"_target_": "bundle.workflow.StartWorkflow", "task": "volumes", "model": "@model"}
    content = {"model": None, "label_names": {}, "initialize": [step], "run": []}
    (folder / "config.json").write_text(json.dumps(content))
    return create_workflow(config_file=str(folder / "config.json"), logging_file=False, workflow_type=None, **options)


def test_a_model_folder_changes_the_config(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    assert start(tmp_path, model=str(tmp_path / "m")).parser["label_names"] == CLASSES


def test_a_model_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(ModelFolderError, match="is of the task"):
        StartWorkflow("cell_segmentation", model=tmp_path)
    StartWorkflow("volumes", model=tmp_path)


def test_a_mistake_ends_the_command_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", COMMAND_LINE)
    with pytest.raises(SystemExit, match="2"):
        start(tmp_path, modle="x")
    assert "--modle is no option of this workflow: did you mean --model?" in caplog.text


def test_a_training_is_protected_unless_it_is_resumed_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "last.pt").touch()
    with pytest.raises(TrainingFolderError):
        StartWorkflow("volumes", training_dir=tmp_path)
    StartWorkflow("volumes", training_dir=tmp_path, resume="true")
    assert (tmp_path / "last.pt").is_file()
    StartWorkflow("volumes", training_dir=tmp_path, overwrite=True)
    assert not (tmp_path / "last.pt").exists()
