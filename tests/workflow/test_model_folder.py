"""A model folder is read as it was written, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.model_folders import write_model

from bundle.workflow.model_folder import ModelFolder, ModelFolderError


def change(folder: Path, **values: Any) -> None:
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**content, **values}))


def test_a_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_model(tmp_path / "m")
    assert ModelFolder.read(tmp_path / "m", task="volumes") == written


def test_further_files_are_copied_to_the_folder(tmp_path: Path) -> None:
    source = tmp_path / "skeleton.json"
    source.write_text("{}")
    model = replace(write_model(tmp_path / "m"), files={"skeleton_file": "skeleton.json"})
    for _ in range(2):
        model.write({"skeleton_file": source})
        source = tmp_path / "m" / "skeleton.json"
    assert (tmp_path / "m" / "skeleton.json").read_text() == "{}"
    read = ModelFolder.read(tmp_path / "m")
    assert read.config["skeleton_file"] == str(tmp_path / "m" / "skeleton.json")
    (tmp_path / "m" / "skeleton.json").unlink()
    with pytest.raises(ModelFolderError, match=r"skeleton\.json: does not exist"):
        ModelFolder.read(tmp_path / "m")


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"has no model\.json; pass a folder that a training has written"):
        ModelFolder.read(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    for text in ("{", "[]", "{}"):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ModelFolderError, match="is damaged or of another kind"):
            ModelFolder.read(tmp_path)


def test_another_format_or_task_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(ModelFolderError, match="is of the task 'volumes', not 'discs'"):
        ModelFolder.read(tmp_path, task="discs")
    change(tmp_path, format=2)
    with pytest.raises(ModelFolderError, match="has format 2, not 1"):
        ModelFolder.read(tmp_path)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"other")
    with pytest.raises(ModelFolderError, match=r"model\.pt: is not the file that model\.json belongs to"):
        ModelFolder.read(tmp_path)
