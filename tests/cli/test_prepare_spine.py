"""``prepare`` for spines, and ``skeleton``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.phantoms import write_nifti

from bundle.cli import main as commands
from bundle.tasks.spine import spine_exams
from bundle.tasks.spine.discs import SkeletonPrior

CONTENT = {"seed": 0, "training": [{"image": "a", "label": "b", "fold": 0}], "test": []}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def test_phantoms_are_made_and_a_skeleton_is_fitted_to_them(tmp_path: Path) -> None:
    folder, skeleton = str(tmp_path / "phantoms"), tmp_path / "new" / "skeleton.json"
    assert commands.main(["prepare", "spine-phantoms", folder, "--count", "2", "--seed", "3", "--folds", "2"]) == 0
    assert len(json.loads((tmp_path / "phantoms" / "dataset.json").read_text())["training"]) == 2
    assert commands.main(["skeleton", folder, "--output", str(skeleton)]) == 0
    prior = SkeletonPrior.load(skeleton)
    assert len(prior.levels) > 1
    assert prior.source.startswith("python -m bundle skeleton")


def test_spine_generic_is_written_to_the_dataset_by_default(tmp_path: Path) -> None:
    for number in range(1, 4):
        for folder, ending in (("", ""), ("derivatives/labels", "_labels-disc-manual")):
            file = tmp_path / folder / f"sub-a{number}" / "anat" / f"sub-a{number}_T2w{ending}.nii.gz"
            label = np.zeros((4, 5, 6), np.uint8)
            label[1, 2, 3] = 3
            write_nifti(file, label)
    options = ["--contrasts", "T2w", "--split_by", "subject", "--test_share", "0.3", "--folds", "2"]
    assert commands.main(["prepare", "spine-generic", str(tmp_path), *options]) == 0
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert (len(content["training"]), len(content["test"])) == (2, 1)
    assert content["training"][0]["subset"] == "T2w"


def test_spine_exams_are_written_to_the_output_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(
        spine_exams, "prepare_spine_exams", lambda *arguments, **options: called.append((arguments, options)) or CONTENT
    )
    assert commands.main(["prepare", "spine-exams", "in", "--output", "out", "--point", "center"]) == 0
    assert called == [(("in", "out"), {"point": "center", "numbering": "sct", "folds": 3, "seed": 0})]


def add_points(folder: Path, **cases: str) -> str:
    """Write a dataset whose labels are tables of discs; return its folder."""
    for name, rows in cases.items():
        (folder / f"{name}.csv").write_text("level_value,R_mm,A_mm,S_mm\n" + rows)
    training = [{"image": f"{name}.nii.gz", "label": f"{name}.csv", "fold": 0} for name in cases]
    (folder / "dataset.json").write_text(json.dumps({"training": training}))
    return str(folder)


def test_a_skeleton_is_fitted_without_the_cases_that_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spine = "20,0,0,0\n21,0,1,-32\n22,0,0,-65\n"
    folder = add_points(
        tmp_path, good=spine, single="20,0,0,0\n", named_so="C99,0,0,0\n", upside_down="20,0,0,0\n21,0,0,9\n"
    )
    with pytest.raises(SystemExit) as ended:
        commands.main(["skeleton", folder, "--output", str(tmp_path / "skeleton.json")])
    assert ended.value.code == 2
    assert SkeletonPrior.load(tmp_path / "skeleton.json").counts == (1, 1, 1)
    assert "named_so.csv: line 2 is not a disc" in caplog.text
    assert "upside_down.csv: ValueError: the spine does not run downward" in caplog.text
    assert "single.csv: has no two discs, so the skeleton is fitted without it" in caplog.text
    assert "2 of 4 cases skipped" in caplog.text


def test_without_a_case_that_can_be_used_no_skeleton_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = add_points(tmp_path, broken="none")
    assert commands.main(["skeleton", folder, "--output", str(tmp_path / "skeleton.json")]) == 2
    assert f"{folder}: a skeleton needs a case with two or more discs, there is none." in caplog.text
    assert not (tmp_path / "skeleton.json").exists()
