"""Workflows that find no regions take crops alone, if their weights are for crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor
from monai.data import MetaTensor

from bundle import ROOT
from bundle.inference import NotACropError, RequireCropd
from bundle.inference.plausibility import CROP, REGION, FeatureDistribution, Reference, write_reference

LIMIT = [6.0, 8.0, 6.0]


def image(*shape: int) -> MetaTensor:
    return meta_tensor(torch.zeros(1, *shape), affine=np.diag([2.0, 2.0, 2.0, 1.0]), filename_or_obj="scan.nii.gz")


def weights(folder: Path, *kinds: str) -> Path:
    """Write weights for which results of these kinds are known."""
    file = folder / "model.pt"
    file.write_bytes(b"weights")
    write_reference(file, Reference(dict.fromkeys(kinds, FeatureDistribution(3, ["volume_mm3"], [1.0], [[1.0]]))))
    return file


def test_a_crop_passes(tmp_path: Path) -> None:
    data = {"image": image(3, 4, 3)}
    assert RequireCropd(weights(tmp_path, CROP, REGION), largest_crop_mm=LIMIT)(data) is data


def test_a_crop_of_the_largest_size_passes_in_single_precision(tmp_path: Path) -> None:
    spacing = float(np.float32(0.8))
    large = meta_tensor(torch.zeros(1, 80, 100, 80), affine=np.diag([spacing, spacing, spacing, 1.0]))
    data = {"image": large}
    assert RequireCropd(weights(tmp_path, CROP, REGION), largest_crop_mm=[64.0, 80.0, 64.0])(data) is data


def test_a_larger_image_is_refused_with_its_size(tmp_path: Path) -> None:
    require = RequireCropd(weights(tmp_path, CROP, REGION), largest_crop_mm=LIMIT)
    message = r"scan\.nii\.gz: has a size of 6 x 10 x 6 mm, .*of at most 6 x 8 x 6 mm; cut the image .*inference\.json"
    with pytest.raises(NotACropError, match=message):
        require({"image": image(3, 5, 3)})


def test_weights_that_know_no_regions_take_every_image(tmp_path: Path) -> None:
    data = {"image": image(3, 5, 3)}
    assert RequireCropd(None, largest_crop_mm=LIMIT)(data) is data
    assert RequireCropd(weights(tmp_path, CROP), largest_crop_mm=LIMIT)(data) is data


@pytest.mark.parametrize("name", ["evaluate.json", "explain.json"])
def test_evaluation_and_explanation_have_the_limit_of_the_inference(name: str) -> None:
    config, inference = (json.loads(Path(ROOT, "configs", file).read_text()) for file in (name, "inference.json"))
    assert config["largest_crop_mm"] == inference["largest_crop_mm"]
    kinds = [step["_target_"] for step in config["preprocessing"]["transforms"] if isinstance(step, dict)]
    assert "bundle.inference.RequireCropd" in kinds
