"""`skeleton` fits the distances of discs to the points of datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.disc_cases import write_spines

from bundle.cli.main import main


def test_the_skeleton_of_all_cases_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_spines(tmp_path / "data", 3)
    with caplog.at_level("INFO"):
        assert main(["skeleton", str(tmp_path / "data"), "--output", str(tmp_path / "new" / "skeleton.json")]) == 0
    assert json.loads((tmp_path / "new" / "skeleton.json").read_text())
    assert "levels from 3 cases" in caplog.text


def test_a_folder_without_a_dataset_is_a_mistake_of_one_line(tmp_path: Path) -> None:
    assert main(["skeleton", str(tmp_path / "none"), "--output", str(tmp_path / "skeleton.json")]) == 2
