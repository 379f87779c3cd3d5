"""Inference of a task as MONAI Label calls it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from servers import untrained_task

from bundle.server.bundle_inference import BundleInference
from bundle.server.bundle_run import CaseResult
from bundle.server.label_tasks import TASKS


def test_uploaded_weights_do_not_replace_the_shipped_ones(tmp_path: Path) -> None:
    inference = BundleInference(replace(TASKS[0], work=tmp_path), tmp_path)
    assert inference.is_valid()
    assert inference.get_path() == str(TASKS[0].shipped_weights)
    assert inference.get_path(validate=False) == str(tmp_path / "model.pt")


def test_gray_levels_of_a_mask_are_returned_by_name(tmp_path: Path) -> None:
    inference = BundleInference(TASKS[0], tmp_path)
    case = CaseResult({"case": "x", "checkpoint": None}, None, tmp_path)
    assert inference._response_params(case, {"levels": [40, 80]})["label_names"] == {"anterior": 40, "posterior": 80}


def test_classes_of_a_lesion_come_as_probabilities(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mole.jpg")
    inference = BundleInference(untrained_task("lesion_classes", tmp_path), tmp_path / "results")
    file, params = inference({"image": str(tmp_path / "mole.jpg"), "device": "cpu"})
    assert file is None
    found = {part["label"]: part["score"] for part in params["prediction"]}
    assert found == {name: part["probability"] for name, part in params["result"]["classes"].items()}
    assert (list(found), inference.type) == (list(inference.labels), "classification")
    assert all(0 < score < 1 for score in found.values())
