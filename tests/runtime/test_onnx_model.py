"""A model is a file that the export has written, and says so otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers.onnx_models import write_volume_model

from bundle.runtime.onnx_model import ModelError, OnnxModel


def test_a_model_has_its_metadata_and_runs(tmp_path: Path) -> None:
    model = OnnxModel(write_volume_model(tmp_path / "model.onnx"), threads=1)
    assert model.about["task"] == "volumes"
    inputs = {"image": np.full((1, 1, 2, 2, 2), 15, np.float32), "statistics": np.zeros((1, 4))}
    (scores,) = model.run(["scores"], inputs)
    assert (scores.argmax(1) == 1).all()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not exist; name the model\.onnx of an export"):
        OnnxModel(tmp_path / "none.onnx")


def test_another_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("no graph")
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        OnnxModel(tmp_path / "a.onnx")


def test_a_graph_of_another_project_is_an_error(tmp_path: Path) -> None:
    file = write_volume_model(tmp_path / "model.onnx")
    graph = onnx.load(str(file))
    del graph.metadata_props[:]
    onnx.save(graph, str(file))
    with pytest.raises(ModelError, match="is not a model of this project"):
        OnnxModel(file)


def test_an_export_without_its_preprocessing_is_an_error(tmp_path: Path) -> None:
    file = write_volume_model(tmp_path / "model.onnx")
    graph = onnx.load(str(file))
    onnx.helper.set_model_props(graph, {"keyslice": '{"version": "0.1.0"}'})
    onnx.save(graph, str(file))
    with pytest.raises(ModelError, match=r"was written by version 0.1.0, .*export it again"):
        OnnxModel(file)
