"""An exported graph runs in ONNX Runtime alone, at any size."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.model_folders import write_model
from helpers.phantoms import write_case

from bundle.cli import main as commands
from bundle.export import onnx_file
from bundle.export.deployed_networks import DeployedFinder
from bundle.export.onnx_task import ExportError, open_task
from bundle.runtime.onnx_model import OnnxModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    write_model(folder / "mine", attention="pam")
    write_case(folder, "case", (16, 14, 12))
    onnx_file.export_onnx(str(folder / "mine"), folder / "out", cases=[folder / "images" / "case.nii.gz"])
    return folder


def session(folder: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(folder / "out" / onnx_file.MODEL), providers=["CPUExecutionProvider"])


def test_the_report_compares_with_the_workflow(exported: Path) -> None:
    report = json.loads((exported / "out" / onnx_file.REPORT).read_text())
    assert list(report["cases"]) == [str(exported / "images" / "case.nii.gz")]
    assert report["mean"] > 0.999
    assert report["worst"] == report["cases"]
    assert report["largest_difference_of_test_vector"] < 1e-3


def test_images_of_one_name_in_several_folders_are_each_compared() -> None:
    answers = {"A/image.nii.gz": np.array([1, 1]), "B/image.nii.gz": np.array([1, 0])}

    class Task:
        compared = "labels"

        def load(self, file: str) -> np.ndarray:
            return answers[file]

        def run(self, _: object, inputs: np.ndarray) -> np.ndarray:
            return inputs

        def reference(self, _: str) -> np.ndarray:
            return np.array([1, 1])

    found = onnx_file.compare(Task(), None, list(answers))  # type: ignore[arg-type]
    assert found["cases"] == {"A/image.nii.gz": 1.0, "B/image.nii.gz": 0.5}
    assert (found["mean"], found["worst"]) == (0.75, {"B/image.nii.gz": 0.5})


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 16), (3, 1, 16, 24, 17), (1, 1, 9, 20, 40)])
def test_any_batch_and_size_runs_without_statistics(exported: Path, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    (labels,) = session(exported).run(["labels"], {"image": image})
    assert labels.shape == shape
    assert labels.dtype == np.uint8


def test_the_test_vector_is_answered(exported: Path) -> None:
    vector = np.load(exported / "out" / onnx_file.TEST)
    inputs = {name: vector[name] for name in ("image", "statistics")}
    (found,) = session(exported).run(["probabilities"], inputs)
    np.testing.assert_allclose(found, vector["answer_probabilities"], atol=1e-4)


def test_voxels_are_sorted_only_where_no_statistics_are_given(exported: Path) -> None:
    nodes = onnx.load(exported / "out" / onnx_file.MODEL).graph.node
    branches = [attribute.g.node for node in nodes if node.op_type == "If" for attribute in node.attribute]
    assert not [node for node in nodes if node.op_type in ("TopK", "Sort")]
    assert sum(any(node.op_type == "TopK" for node in branch) for branch in branches) == 1


def test_the_metadata_state_what_a_user_must_know(exported: Path) -> None:
    metadata = json.loads(session(exported).get_modelmeta().custom_metadata_map[onnx_file.METADATA])
    assert metadata["label_names"] == {"background": 0, "ball": 1, "shell": 2}
    assert (metadata["task"], metadata["spacing_mm"], metadata["orientation"]) == ("volumes", [1.0, 1.0, 1.0], "RAS")


def test_a_graph_that_answers_otherwise_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "_write_test_vector", lambda *_: 1.0)
    monkeypatch.setattr(onnx_file, "_write_graph", lambda *_: None)
    with pytest.raises(ExportError, match="the answer to the test vector differs by 1"):
        onnx_file.export_onnx(str(exported / "mine"), exported / "out")


def test_the_file_holds_the_network_that_finds_regions(exported: Path) -> None:
    task = open_task(str(exported / "mine"))
    finder = DeployedFinder(torch.nn.Conv3d(1, 3, 3, padding=1))
    onnx_file._write_graph(replace(task, finder=finder), exported / "with_finder.onnx")
    image = torch.randn(1, 1, 32, 16, 48)
    found = OnnxModel(exported / "with_finder.onnx", threads=1).find(image.numpy())
    np.testing.assert_allclose(found, finder(image).detach().numpy(), atol=1e-5)


def test_maps_agree_where_they_differ_by_little() -> None:
    maps = np.array([1.0, 0.5, 0.25, 0.0])
    assert onnx_file._agreement(maps + np.array([0, 5e-4, 2e-3, 0]), maps) == 0.75


def test_the_command_exports(exported: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(onnx_file, "_write_graph", lambda *_: None)
    with caplog.at_level(logging.INFO):
        assert commands.main(["export", str(exported / "mine"), str(exported / "out")]) == 0
    assert "compared on 0 images, worst None" in caplog.text
