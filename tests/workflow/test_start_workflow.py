"""The first step of a workflow checks its options and uses a model folder."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.model_folders import CLASSES, write_model
from monai.bundle import create_workflow

from bundle.utils.mistakes import describe_mistake
from bundle.workflow import StartWorkflow
from bundle.workflow.model_folder import ModelFolderError
from bundle.workflow.option_values import OptionValueError
from bundle.workflow.training_folder import TrainingFolderError

COMMAND_LINE = ["/site/monai/bundle/__main__.py", "run"]


def start(folder: Path, **options: Any) -> Any:
    step = {"_target_": "bundle.workflow.StartWorkflow", "task": "volumes", "model": "@model"}
    content = {"model": None, "label_names": {}, "epochs": 1, "initialize": [step], "run": []}
    (folder / "config.json").write_text(json.dumps(content))
    return create_workflow(config_file=str(folder / "config.json"), logging_file=False, workflow_type=None, **options)


def test_a_model_folder_changes_the_config(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    assert start(tmp_path, model=str(tmp_path / "m")).parser["label_names"] == CLASSES


def test_names_are_those_of_the_dataset_and_a_model_with_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "spleen": 1}}))
    names = {"_target_": "bundle.data.DatasetNames", "dataset_dir": str(tmp_path), "default": {"a": 1}}
    step = {"_target_": "bundle.workflow.StartWorkflow", "task": "volumes", "model": "@model", "names": names}
    content = {"model": None, "label_names": {"a": 1}, "initialize": [step], "run": []}
    (tmp_path / "config.json").write_text(json.dumps(content))
    call = {"config_file": str(tmp_path / "config.json"), "logging_file": False, "workflow_type": None}
    assert create_workflow(**call).parser["label_names"] == {"spleen": 1}
    replace(write_model(tmp_path / "m"), defaults={}).write()
    with pytest.raises(RuntimeError) as caught:
        create_workflow(**call, model=str(tmp_path / "m"))
    assert f"names the structures {{'spleen': 1}}, but label_names are {CLASSES}" in str(caught.value.__cause__)


def test_a_model_folder_of_another_task_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(ModelFolderError, match="is of the task"):
        StartWorkflow("cell_segmentation", model=tmp_path)
    StartWorkflow("volumes", model=tmp_path)


def test_a_mistake_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", COMMAND_LINE)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    with pytest.raises(RuntimeError) as caught:
        start(tmp_path, modle="x")
    assert sys.excepthook is not sys.__excepthook__
    message = describe_mistake(caught.value)
    assert message is not None
    assert message.startswith("--modle is no option of this workflow: did you mean --model?")


def test_a_word_for_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        start(tmp_path, epochs="ten")
    assert isinstance(caught.value.__cause__, OptionValueError)


def test_a_training_is_protected_unless_it_is_resumed_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "last.pt").touch()
    with pytest.raises(TrainingFolderError):
        StartWorkflow("volumes", training_dir=tmp_path)
    StartWorkflow("volumes", training_dir=tmp_path, resume="true")
    assert (tmp_path / "last.pt").is_file()
    StartWorkflow("volumes", training_dir=tmp_path, overwrite=True)
    assert not (tmp_path / "last.pt").exists()
