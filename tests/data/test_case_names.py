"""Cases have unique names, made of the names of their files and folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.data import DatalistError, list_cases, load_datalist
from bundle.data.case_names import name_cases, name_images


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write_json(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pairs(*names: str) -> list[dict[str, str]]:
    return [{"image": f"imagesTr/{name}.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in names]


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["case"] for case in cases]


class TestNames:
    def test_the_same_name_in_two_folders_is_distinguished_by_the_folders(self, tmp_path: Path) -> None:
        items = ["sub-01/T1.nii.gz", "sub-02/T1.nii.gz", "sub-02/T2.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        assert names(list_cases(path)) == ["sub-01_T1", "sub-02_T1", "T2"]

    def test_as_many_folders_as_needed_are_taken(self, tmp_path: Path) -> None:
        items = ["sub-01/anat/T1.nii.gz", "sub-02/anat/T1.nii.gz", "sub-03/T1.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        assert names(list_cases(path)) == ["sub-01_anat_T1", "sub-02_anat_T1", "sub-03_T1"]

    def test_a_name_made_of_folders_does_not_meet_another_one(self, tmp_path: Path) -> None:
        items = ["x/a/b.nii.gz", "y/c/b.nii.gz", "z/a_b.nii.gz"]
        path = write_json(tmp_path / "dataset.json", {"test": items})
        found = names(list_cases(path))
        assert len(set(found)) == 3

    def test_a_training_and_a_test_case_of_one_name_are_logged_apart(self, tmp_path: Path) -> None:
        test = [{"image": "imagesTs/a.nii.gz", "label": "labelsTs/a.nii.gz"}]
        write_json(tmp_path / "dataset.json", {"training": pairs("a", "b"), "test": test})
        lists = load_datalist(tmp_path)
        assert names(lists["training"]) == ["imagesTr_a", "b"]
        assert names(lists["test"]) == ["imagesTs_a"]

    def test_two_files_that_differ_in_their_ending_alone_are_an_error(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.nii", "a.nii.gz", "b.nii")
        with pytest.raises(DatalistError, match="these images would write the same output") as caught:
            list_cases(tmp_path)
        for name in ("a.nii", "a.nii.gz"):
            assert str(tmp_path / name) in str(caught.value)
        assert "b.nii" not in str(caught.value)


def test_a_2d_image_of_several_files_is_refused() -> None:
    with pytest.raises(DatalistError, match="a 2D image is one file"):
        name_images([{"image": ["a.png", "b.png"]}])


def test_a_series_in_the_current_folder_is_named_after_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "study" / "below")
    assert [case["case"] for case in name_cases([{"image": "."}, {"image": ".."}])] == ["below", "study"]
