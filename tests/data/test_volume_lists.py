"""Datalists of volumes share folders, patients and tables of structures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.volume_lists import folder_of, original_parts, read_table, with_patients


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_folders_of_the_original_project_are_its_parts(tmp_path: Path) -> None:
    assert original_parts(tmp_path) is None
    touch(tmp_path, "train/images/a.nii", "train/masks/a.nii", "test/images/b.nii", "test/masks/b.nii")
    found = original_parts(tmp_path)
    assert found is not None
    assert {section: [Path(case["label"]).name for case in cases] for section, cases in found.items()} == {
        "training": ["a.nii"],
        "test": ["b.nii"],
    }


def test_a_patient_is_named_by_the_first_file() -> None:
    (case,) = with_patients([{"image": ["/x/p1_t1.nii", "/x/p1_t2.nii"]}], lambda name: name.split("_")[0])
    assert case["patient"] == "p1"


def test_a_table_or_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"absent.tsv: is no table of structures"):
        read_table(tmp_path / "absent.tsv")
    with pytest.raises(DatalistError, match="absent: is not a folder; name the one that holds volumes"):
        folder_of(tmp_path / "absent", "volumes")
    assert folder_of(str(tmp_path), "volumes") == tmp_path
