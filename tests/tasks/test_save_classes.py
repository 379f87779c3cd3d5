"""The classes of an image are written as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from bundle.inference import CaseRecord
from bundle.tasks.classification import SaveClassesd

NAMES = ["melanoma", "keratosis"]


def image(**further: Any) -> dict[str, Any]:
    meta = {"filename_or_obj": "/data/a.jpg", "original_size": [30, 40], "remarks": "dim; turned"}
    return {"image": MetaTensor(torch.zeros(3, 8, 8), meta=meta), "pred": torch.tensor([0.25, 0.75]), **further}


def test_probabilities_thresholds_and_calls_are_written(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    save = SaveClassesd(
        "pred",
        class_names=NAMES,
        output_dir=tmp_path / "out",
        thresholds={"melanoma": 0.2, "keratosis": 0.75},
        checkpoint=weights,
    )
    result = save(image(record=CaseRecord("lesion", started=time.perf_counter())))["record"].to_json()
    assert result == json.loads((tmp_path / "out" / "lesion.json").read_text())
    assert result["classes"] == {
        "melanoma": {"probability": 0.25, "threshold": 0.2, "positive": True},
        "keratosis": {"probability": 0.75, "threshold": 0.75, "positive": False},
    }
    assert (result["case"], result["input"], result["shape"]) == ("lesion", "/data/a.jpg", [30, 40])
    assert result["remarks"] == ["dim", "turned"]
    assert result["seconds"] >= 0
    assert result["checkpoint"]["path"] == str(weights)
    assert result["versions"]


def test_an_image_without_a_name_has_that_of_its_file(tmp_path: Path) -> None:
    result = SaveClassesd("pred", class_names=NAMES, output_dir=tmp_path)(image())["record"].to_json()
    assert (result["case"], result["seconds"]) == ("a", None)
    assert (tmp_path / "a.json").is_file()


def test_the_provenance_is_in_the_json_for_a_later_run(tmp_path: Path) -> None:
    provenance = {"settings": "s", "input": "i"}
    case = image(record=CaseRecord("a", provenance=provenance))
    result = SaveClassesd("pred", class_names=NAMES, output_dir=tmp_path)(case)["record"].to_json()
    assert (result["provenance"], result["files"]) == (provenance, {})


def test_nothing_is_written_for_a_key_that_may_be_missing(tmp_path: Path) -> None:
    save = SaveClassesd("other", class_names=NAMES, output_dir=tmp_path, allow_missing_keys=True)
    assert "record" not in save(image())


def test_bad_arguments_and_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="thresholds must give a number"):
        SaveClassesd("pred", class_names=NAMES, output_dir=tmp_path, thresholds={"melanoma": 0.5})
    with pytest.raises(ValueError, match=r"/data/a\.jpg: has 2 probabilities for 1 classes"):
        SaveClassesd("pred", class_names=NAMES[:1], output_dir=tmp_path)(image())
