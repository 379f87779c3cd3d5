"""What is exported of every task agrees with its workflow on phantoms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import config as contract
from helpers.model_folders import write_model
from helpers.phantoms import write_case

from bundle.export import onnx_task
from bundle.export.onnx_task import BUILDERS, ExportError, open_task

FOLDERS = {"volumes": "."}


@pytest.mark.parametrize("name", BUILDERS)
def test_raw_values_give_the_result_of_the_workflow(name: str, tmp_path: Path) -> None:
    contract.TASKS[FOLDERS.get(name, name)].write(tmp_path, 4)
    file = str(next(path for path in sorted((tmp_path / "images").iterdir()) if path.is_file()))
    task = open_task(name)
    inputs = task.load(file)
    assert list(inputs) == list(task.inputs)
    with torch.no_grad():
        found = dict(zip(task.outputs, task.module(*map(torch.as_tensor, inputs.values())), strict=True))
    wanted = task.reference(file)
    result = found[task.compared].numpy()
    assert result.shape == wanted.shape
    assert np.allclose(result, wanted, atol=1e-4) if wanted.dtype.kind == "f" else (result == wanted).mean() > 0.999
    assert set(task.defaults) <= set(task.inputs)


def test_a_volume_that_is_larger_than_the_window_runs_window_by_window(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    write_case(tmp_path, "case", (30, 17, 21))
    task = open_task(str(tmp_path / "m"))
    file = str(tmp_path / "images" / "case.nii.gz")

    class Session:
        def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            with torch.no_grad():
                found = task.module(*(torch.as_tensor(inputs[name]) for name in task.inputs))
            return [dict(zip(task.outputs, found, strict=True))[name].numpy() for name in names]

    assert (task.run(Session(), task.load(file)) == task.reference(file)).mean() > 0.999
    small = {name: value[..., :10, :12, :9] if name == "image" else value for name, value in task.load(file).items()}
    assert task.run(Session(), small).shape == (1, 1, 10, 12, 9)


def test_a_model_folder_is_exported_with_its_settings(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    task = open_task(str(tmp_path / "m"))
    assert task.metadata["label_names"] == {"background": 0, "ball": 1, "shell": 2}
    assert task.metadata["window"] == [16, 16, 16]


def test_weights_of_regions_are_exported_with_their_finder(tmp_path: Path) -> None:
    task = open_task("volumes")
    assert task.finder is not None
    probabilities = task.finder(torch.zeros(1, 1, 16, 32, 16))
    assert torch.allclose(probabilities.sum(1), torch.ones(1, 16, 32, 16), atol=1e-5)
    assert task.metadata["finder"]["regions"] == {"left": 1, "right": 2}
    assert task.metadata["finder"]["offsets"] == {"left": 10, "right": 20}
    assert task.metadata["finder"]["percentiles"] == [0.5, 99.5]
    assert set(task.metadata["plausibility"]["distributions"]) == {"crop", "region"}
    write_model(tmp_path / "m")
    own = open_task(str(tmp_path / "m"))
    assert (own.finder, own.metadata["finder"], own.metadata["plausibility"]) == (None, None, None)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ExportError, match="'knees' is neither a model folder nor one of volumes, disc_labeling"):
        open_task("knees")


def test_what_the_graph_cannot_do_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    replace(model, settings={**model.settings, "regions": {"all": [1, 2]}}).write()
    with pytest.raises(ExportError, match="nested regions cannot be exported"):
        open_task(str(tmp_path / "m"))
    other = {"_target_": "bundle.transforms.NormalizeContentd", "keys": "image"}
    replace(model, settings={**model.settings, "normalization": other}).write()
    with pytest.raises(ExportError, match="only StandardizeIntensityd can be exported"):
        open_task(str(tmp_path / "m"))


def test_labels_that_do_not_fit_into_uint8_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "m", label_names={"first": 1, "last": 255})
    assert open_task(str(tmp_path / "m")).metadata["label_names"]["last"] == 255
    write_model(tmp_path / "m", label_names={"first": 1, "last": 300})
    with pytest.raises(ExportError, match=r"the classes have labels up to 300, and those .* are at most 255; use the"):
        open_task(str(tmp_path / "m"))
    monkeypatch.setitem(onnx_task.OFF, "region_offsets", {"left": 10, "right": 254})
    with pytest.raises(ExportError, match="with the summands of region_offsets have labels up to 256"):
        open_task("volumes")
