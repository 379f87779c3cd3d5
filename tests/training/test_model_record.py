"""The settings of a training are recorded next to its weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from monai.bundle import ConfigParser

from bundle.training import ModelRecord, TrainingSettings
from bundle.workflow.model_folder import ModelFolder


def record(folder: Path, **options: Any) -> ModelRecord:
    """Return what a config creates."""
    (folder / "model.pt").write_bytes(b"weights")
    component = {"_target_": "bundle.training.ModelRecord", "task": "t", "output_dir": str(folder), "ids": ["a", "b"]}
    return ConfigParser({"a": 1, "b": "@c", "c": [2], "record": {**component, **options}}).get_parsed_content("record")


def evaluator(epoch: int) -> Any:
    return SimpleNamespace(state=SimpleNamespace(best_metric_epoch=epoch, best_metric=0.25, key_metric_name="dice"))


def test_ids_and_defaults_of_the_config_are_written(tmp_path: Path) -> None:
    record(tmp_path, defaults=["c"], values={"threshold": 0.5}).write(2)
    model = ModelFolder.read(tmp_path)
    assert (model.settings, model.defaults) == ({"a": 1, "b": "@c"}, {"c": [2], "threshold": 0.5})
    assert model.training == {"epoch": 2}


def test_the_metric_is_that_of_the_epoch(tmp_path: Path) -> None:
    for epoch, metric in ((2, {"dice": 0.25}), (3, None)):
        record(tmp_path).write(epoch, evaluator(2))
        assert ModelFolder.read(tmp_path).training.get("metric") == metric


def test_files_are_copied(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "skeleton.json").write_text("{}")
    record(tmp_path / "m", files={"skeleton_file": str(tmp_path / "skeleton.json")}).write(1)
    assert (tmp_path / "m" / "skeleton.json").read_text() == "{}"


def test_outside_a_config_only_the_training_is_known(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    settings = TrainingSettings(tmp_path, {"seed": 3})
    ModelRecord("t", tmp_path, ["a"], settings=settings).write(1)
    content = json.loads((tmp_path / "model.json").read_text())
    assert (content["settings"], content["training"]) == ({}, {"epoch": 1, "seed": 3})
