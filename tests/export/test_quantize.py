"""A network in int8 is calibrated on the windows of an inference, and written where its labels are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.model_folders import write_model
from helpers.phantoms import write_case, write_nifti
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.export import quantize as module
from bundle.export.open_workflow import ExportError, open_workflow
from bundle.export.quantize import OPTIONS, WINDOWS_PER_IMAGE, agreement, collect_windows, quantize
from bundle.inference.int8_network import Int8Network, find_int8, int8_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    for index in range(6):
        write_case(folder, f"case{index}", (16, 20, 16), seed=index)
    return folder


def opened(model: Path) -> tuple[ConfigParser, torch.nn.Module]:
    _, parser = open_workflow(str(model), ROOT, OPTIONS)
    return parser, parser.get_parsed_content("network").eval()


@pytest.mark.slow
def test_the_network_in_int8_of_a_model_has_its_labels(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGREEMENT", 0.7)  # random weights are never sure
    about = quantize(str(model), [model / "images"])
    assert about["window"] == [1, 16, 16, 16]
    assert about["calibration"] == {"images": 5, "windows": 10}
    assert about["check"]["images"] == 1
    assert {"openvino", "nncf", "torch"} <= set(about["versions"])
    assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
    file = find_int8(model / "model.pt")
    assert file is not None
    assert file.about == about
    _, network = opened(model)
    window = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, wanted = Int8Network(file)(window), network(window)
    assert found.shape == wanted.shape
    assert torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1] > 0.95
    assert not torch.equal(found, wanted)


@pytest.mark.slow
def test_nothing_is_written_where_too_few_labels_are_those_of_float32(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    int8_path(model / "model.pt").unlink(missing_ok=True)
    monkeypatch.setattr(module, "agreement", lambda *_: 0.5)
    with pytest.raises(ExportError, match=r"only 50.000% of the labels .* add images to calibrate by. Nothing was"):
        quantize(str(model), [model / "images" / "case0.nii.gz", model / "images" / "case1.nii.gz"])
    assert not int8_path(model / "model.pt").exists()


def test_the_windows_are_those_of_the_inference(model: Path) -> None:
    parser, network = opened(model)
    (first, *others) = collect_windows(parser, network, [model / "images"])
    assert len(others) == 5
    assert first.shape == (2, 1, 16, 16, 16)
    image = parser.get_parsed_content("preprocessing")({"image": str(model / "images" / "case0.nii.gz")})["image"]
    assert torch.equal(first[0], image[:, :, :16].as_tensor())
    assert torch.equal(first[1], image[:, :, 4:].as_tensor())
    assert not network._forward_pre_hooks


def test_windows_of_a_large_image_are_spread_over_it(model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_case(tmp_path, name, (30, 30, 44))
    parser, network = opened(model)
    images = collect_windows(parser, network, [tmp_path / "images"])
    assert [len(windows) for windows in images] == [WINDOWS_PER_IMAGE] * 2
    assert len({float(window.sum()) for window in images[0]}) == WINDOWS_PER_IMAGE


def test_images_that_cannot_be_read_are_left_out_and_logged(model: Path, tmp_path: Path, caplog: Any) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"")
    parser, network = opened(model)
    with pytest.raises(ExportError, match="at least 2 images are needed, one of them for the check, got 1"):
        collect_windows(parser, network, [broken, model / "images" / "case0.nii.gz"])
    assert f"left out: {broken}" in caplog.text


def test_an_error_of_the_program_is_raised(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "collate_cases", fail)
    parser, network = opened(model)
    with pytest.raises(ZeroDivisionError):
        collect_windows(parser, network, [model / "images"])


def test_windows_of_several_sizes_are_refused(model: Path) -> None:
    parser, network = opened(model)
    parser["inferer"] = {"_target_": "SimpleInferer"}
    parser.parse(reset=True)
    other = write_nifti(model / "other.nii.gz", torch.rand(16, 16, 16).numpy())
    with pytest.raises(ExportError, match=r"several sizes \(\[1, 16, 16, 16\], \[1, 16, 20, 16\]\)"):
        collect_windows(parser, network, [model / "images" / "case0.nii.gz", other])


def test_the_agreement_is_the_share_of_equal_labels() -> None:
    windows = torch.tensor([1.0, -1.0, 2.0, -2.0]).reshape(2, 1, 2)
    assert agreement(lambda x: x, torch.nn.Identity(), windows) == 1
    assert agreement(torch.abs, torch.nn.Identity(), windows) == 0.5
    both = torch.cat([windows, torch.zeros_like(windows)], dim=1)
    assert agreement(lambda x: -x, torch.nn.Identity(), both) == 0
