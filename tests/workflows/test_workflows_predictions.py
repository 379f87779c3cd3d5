"""An evaluation scores existing predictions of every task without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.classified_cases import run_classification, write_classified
from helpers.disc_cases import run_disc_workflow, write_spines
from helpers.image_cases import write_lesions
from helpers.workflows import run_workflow, small_dataset

from bundle.data import select_cases, select_images

NO_WEIGHTS = {"checkpoint": "none.pt"}
UNUSED = {"roi_size": [32, 32], "network_def#channels": [8, 8, 8, 8]}
"""A small network of images, which no evaluation of given masks runs."""


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


def test_label_maps_equal_to_the_reference_have_dice_1(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", 3)
    (data / "labels" / "case2.nii.gz").rename(tmp_path / "case2.nii.gz")
    predictions = shutil.copytree(data / "labels", tmp_path / "predictions")
    (tmp_path / "case2.nii.gz").rename(data / "labels" / "case2.nii.gz")
    options = {"dataset_dir": str(data), "predictions": str(predictions), "output_dir": str(tmp_path / "out")}
    with pytest.raises(SystemExit):
        run_workflow("evaluate.json", **options, **NO_WEIGHTS)
    assert metrics(tmp_path / "out")["summary"]["anterior"]["dice"]["mean"] == 1.0
    failed = json.loads((tmp_path / "out" / "summary.json").read_text())["failures"]
    assert [item["case"] for item in failed] == ["case2"]
    assert "there is no prediction of this case" in failed[0]["message"]


def test_masks_equal_to_the_reference_have_dice_1(tmp_path: Path) -> None:
    data = write_lesions(tmp_path / "data", 3)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for case in select_images(data, "all"):
        shutil.copy(case["label"], predictions / f"{case['case']}_mask.png")
    options = {"dataset_dir": str(data), "predictions": str(predictions), "output_dir": str(tmp_path / "out")}
    run_workflow("lesion_segmentation/evaluate.json", **options, **NO_WEIGHTS, **UNUSED)
    assert metrics(tmp_path / "out")["per_image"]["lesion"]["dice"]["mean"] == 1.0


def test_points_equal_to_the_reference_are_all_identified(tmp_path: Path) -> None:
    data = write_spines(tmp_path / "data", 2)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for case in select_cases(data, "all"):
        shutil.copy(case["label"], predictions / f"{case['case']}.json")
    options = {"dataset_dir": str(data), "predictions": str(predictions), "output_dir": str(tmp_path / "out")}
    run_disc_workflow("evaluate", **options, **NO_WEIGHTS)
    assert metrics(tmp_path / "out")["summary"]["identification_rate"]["value"] == 1.0


def test_a_table_of_classes_is_scored(tmp_path: Path) -> None:
    data = write_classified(tmp_path / "data", 8)
    content = json.loads((data / "dataset.json").read_text())
    cases = [*content["training"], *content.get("test", [])]
    names = list(cases[0]["classes"])
    lines = [",".join([Path(case["image"]).stem, *(str(case["classes"][name]) for name in names)]) for case in cases]
    (tmp_path / "scores.csv").write_text("\n".join([",".join(["image_id", *names]), *lines]))
    options = {"dataset_dir": str(data), "predictions": str(tmp_path), "output_dir": str(tmp_path / "out")}
    run_classification("evaluate", **options, **NO_WEIGHTS)
    summary = metrics(tmp_path / "out")["summary"]
    assert all(found["auc"]["value"] == 1.0 for found in summary.values())


@pytest.mark.parametrize("task", ["volumes", "lesions"])
def test_cases_that_were_rated_as_failed_are_not_evaluated(task: str, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", 3) if task == "volumes" else write_lesions(tmp_path / "data", 3)
    cases = select_cases(data, "all") if task == "volumes" else select_images(data, "all")
    (tmp_path / "predictions").mkdir()
    for case in cases:
        name = Path(case["label"]).name if task == "volumes" else f"{case['case']}_mask.png"
        shutil.copy(case["label"], tmp_path / "predictions" / name)
    failed = cases[0]
    (tmp_path / "qc.csv").write_text(f"case,input,rating\n{failed['case']},{failed['image']},fail\n")
    options = {"dataset_dir": data, "predictions": tmp_path / "predictions", "output_dir": tmp_path / "out"}
    options["qc"] = tmp_path / "qc.csv"
    size = {} if task == "volumes" else UNUSED
    config = "evaluate.json" if task == "volumes" else "lesion_segmentation/evaluate.json"
    run_workflow(config, **{name: str(path) for name, path in options.items()}, **NO_WEIGHTS, **size)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["review"]["left_out"] == [failed["case"]]
    assert failed["case"] not in (tmp_path / "out" / "metrics.csv").read_text()
