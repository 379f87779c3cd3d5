"""The split that a dataset has is kept; otherwise the plan makes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.workflows import small_dataset

from bundle.planning.plan_split import write_split


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return small_dataset(tmp_path / "data", 8, 20)


def items(numbers: range, **more: Any) -> list[dict[str, Any]]:
    return [{"image": f"images/case{n}.nii.gz", "label": f"labels/case{n}.nii.gz", **more} for n in numbers]


def split(dataset: Path, tmp_path: Path, content: dict[str, Any] | None) -> dict[str, Any]:
    listed = None
    if content is not None:
        listed = tmp_path / "list.json"
        listed.write_text(json.dumps(content))
    written = write_split(dataset, listed, tmp_path / "datalist.json", test_share=0.25, seed=0)
    assert json.loads((tmp_path / "datalist.json").read_text())["training"] == written["training"]
    return written


def test_a_folder_gets_a_test_set_and_folds(dataset: Path, tmp_path: Path) -> None:
    found = split(dataset, tmp_path, None)
    assert (len(found["training"]), len(found["test"])) == (6, 2)
    assert {item["fold"] for item in found["training"]} == set(range(5))


def test_a_section_validation_is_kept(dataset: Path, tmp_path: Path) -> None:
    found = split(dataset, tmp_path, {"training": items(range(6)), "validation": items(range(6, 8))})
    held_out = [item["image"] for item in found["training"] if item["fold"] == 0]
    assert held_out == ["images/case6.nii.gz", "images/case7.nii.gz"]
    assert found["test"] == []


def test_a_datalist_without_classes_gets_those_of_the_folder(dataset: Path, tmp_path: Path) -> None:
    described = {"labels": {"0": "background", "1": "left", "2": "right"}, "modality": {"0": "T2"}}
    (dataset / "dataset.json").write_text(json.dumps({**described, "training": items(range(8))}))
    found = split(dataset, tmp_path, {"training": items(range(8)), "modality": {"0": "T1"}})
    assert found["labels"] == described["labels"]
    assert found["modality"] == {"0": "T1"}
    named = {"0": "background", "1": "one", "2": "two"}
    assert split(dataset, tmp_path, {"training": items(range(8)), "labels": named})["labels"] == named
