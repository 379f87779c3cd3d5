"""Masks and classes of color images at the size of their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers.onnx_models import write_class_model, write_mask_model
from PIL import Image

from bundle.runtime.keyslice_run import run_model
from bundle.runtime.onnx_model import OnnxModel

PREPROCESSING = {"crop_border": True, "flag_limit": 4.0, "single_region": False, "tolerance": 0.0}


def write_image(path: Path, *, border: int = 0, orientation: int = 1) -> np.ndarray:
    """Write an image whose red half is the right one, and return its pixels."""
    pixels = np.random.default_rng(0).integers(0, 40, (30, 44, 3)).astype(np.uint8)
    pixels[:, 22:, 0] += 200
    pixels = np.pad(pixels, ((border, border), (0, 0), (0, 0)), constant_values=9)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)
    return pixels


def run(folder: Path, model: Path) -> dict[str, Any]:
    (record,) = run_model(model, folder / "in" / "skin.png", folder / "out", threads=1)
    assert record.to_json() == json.loads((folder / "out" / "skin.json").read_text())
    return record.to_json()


@pytest.mark.parametrize("border", [0, 8])
def test_a_mask_has_the_size_of_the_file_and_none_in_its_border(border: int, tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "skin.png", border=border)
    found = run(tmp_path, write_mask_model(tmp_path / "model.onnx"))
    mask = np.asarray(Image.open(tmp_path / "out" / "skin_seg.png"))
    wanted = np.zeros((30 + 2 * border, 44), np.uint8)
    wanted[border : border + 30, 22:] = 255
    np.testing.assert_array_equal(mask, wanted)
    assert found["labels"]["lesion"]["area_px"] == 30 * 22
    assert found["threshold"] == 0.25
    assert len(found["remarks"]) == (1 if border else 0)
    assert sorted(found["files"]) == ["skin_probability.png", "skin_seg.png"]


def test_a_mask_has_the_orientation_of_its_image(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "skin.png", orientation=6)
    run(tmp_path, write_mask_model(tmp_path / "model.onnx"))
    with Image.open(tmp_path / "out" / "skin_seg.png") as mask:
        assert mask.size == (44, 30)


def test_several_classes_have_a_probability_each(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "skin.png", border=8)
    about = {"label_names": {"nucleus": 1, "cytoplasm": 2}, "levels": [255, 128], "task": "cell_segmentation"}
    model = onnx.load(str(write_mask_model(tmp_path / "model.onnx", **about)))
    model.graph.node.extend([onnx.helper.make_node("Concat", ["one", "one", "one"], ["three"], axis=1)])
    model.graph.node[4].output[0], model.graph.node[6].output[0] = "one", "probabilities"
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(model, str(tmp_path / "model.onnx"))
    found = run(tmp_path, tmp_path / "model.onnx")
    assert sorted(found["files"])[:2] == ["skin_probability_cytoplasm.png", "skin_probability_nucleus.png"]
    assert found["threshold"] is None
    assert found["labels"]["nucleus"]["area_px"] == 0


def test_classes_have_probability_threshold_and_decision(tmp_path: Path) -> None:
    pixels = write_image(tmp_path / "in" / "skin.png")
    found = run(
        tmp_path, write_class_model(tmp_path / "model.onnx", thresholds={"red": 0.4, "green": 0.5, "blue": 0.5})
    )
    assert found["classes"]["red"]["probability"] == pytest.approx(pixels[..., 0].mean() / 255, abs=1e-4)
    assert [entry["positive"] for entry in found["classes"].values()] == [True, False, False]
    assert found["shape"] == [30, 44]


@pytest.mark.parametrize("write", [write_class_model, write_mask_model])
@pytest.mark.parametrize(("limit", "plausible"), [(1.0, False), (1e6, True)])
def test_an_image_unlike_the_training_images_is_flagged(
    limit: float, plausible: bool, write: Callable[..., Path], tmp_path: Path
) -> None:
    write_image(tmp_path / "in" / "skin.png")
    names = ["channel_0", "channel_1", "channel_2"]
    image = {"cases": 9, "names": names, "mean": [0.1] * 3, "covariance": (np.eye(3) * 1e-4).tolist()}
    about = {
        "plausibility": {"weights": "", "distributions": {"image": image}},
        "preprocessing": {**PREPROCESSING, "plausible_distance": limit},
    }
    found = run(tmp_path, write(tmp_path / "model.onnx", **about))
    assert found["plausibility"]["plausible"] is plausible
    assert any("unlike the training images" in flag for flag in found.get("flags", [])) is not plausible
    assert {"classes", "labels"} & found.keys()


@pytest.mark.parametrize(("write", "size"), [(write_class_model, (3,)), (write_mask_model, (1, 30, 44))])
def test_probabilities_that_are_not_finite_are_no_result(
    write: Callable[..., Path], size: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "in" / "skin.png")
    monkeypatch.setattr(OnnxModel, "run", lambda *_: [np.full((1, *size), np.nan, np.float32)])
    (record,) = run_model(write(tmp_path / "model.onnx"), tmp_path / "in" / "skin.png", tmp_path / "out")
    assert "probabilities of the network are not finite" in record.message
    assert not list((tmp_path / "out").glob("skin*"))
