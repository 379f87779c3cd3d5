from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bundle.tasks.spine.discs import Disc, DiscFileError, read_discs, read_json, read_label_map, to_array
from bundle.tasks.spine.discs.exam_json import is_exam


def exam(**changes: Any) -> dict[str, Any]:
    discs = [
        {"value": 24, "voxel": [40, 80, 8], "world_mm": [33.0, -160.0, -41.0], "posterior_voxel": [41, 88, 9]},
        {"value": 21, "voxel": [10, 90, 7], "world_mm": [29.0, -180.0, -11.0], "posterior_voxel": [10, 97, 7]},
    ]
    return {"spacing_mm": [1.0, 2.0, 4.0], "discs": [{**disc, **changes} for disc in discs]}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_posterior_voxels_are_placed_by_their_distance_from_the_center(tmp_path: Path) -> None:
    discs = read_json(write(tmp_path / "a.json", exam()))
    assert discs == [Disc(21, (29.0, -194.0, -11.0)), Disc(24, (37.0, -176.0, -42.0))]


def test_centers_are_taken_as_they_stand(tmp_path: Path) -> None:
    discs = read_json(write(tmp_path / "a.json", exam()), point="center")
    assert discs == [Disc(21, (29.0, -180.0, -11.0)), Disc(24, (33.0, -160.0, -41.0))]


def test_an_exam_without_discs_has_no_points(tmp_path: Path) -> None:
    assert read_json(write(tmp_path / "a.json", {"spacing_mm": [1, 1, 1], "discs": []})) == []


def test_other_files_are_no_exams() -> None:
    assert not is_exam({"frame": "RAS", "discs": []})
    assert not is_exam({"spacing_mm": [1, 1, 1], "discs": "none"})
    assert not is_exam({"spacing_mm": [1, 1, 1], "discs": [{"value": 3}, 4]})


def test_without_posterior_voxels_the_remedy_is_said(tmp_path: Path) -> None:
    content = exam()
    for disc in content["discs"]:
        del disc["posterior_voxel"]
    file = write(tmp_path / "a.json", content)
    with pytest.raises(DiscFileError, match=r'no posterior voxel for disc 24, only its center; read it with point="ce'):
        read_json(file)
    assert [disc.value for disc in read_json(file, point="center")] == [21, 24]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"world_mm": [0.0, 0.0, 0.0]}, "voxels and world positions do not go together"),
        ({"world_mm": None}, ""),
        ({"value": 99}, "99 is no number of a disc"),
    ],
)
def test_discs_that_cannot_be_used_are_said(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DiscFileError, match=rf"a.json: holds discs that cannot be used \(.*{problem}.*\); correct it"):
        read_json(write(tmp_path / "a.json", exam(**changes)))


@pytest.mark.real_data
def test_centers_of_all_real_exams_are_those_of_their_label_maps(shared_data: Path) -> None:
    files = sorted((shared_data / "spine").glob("*/exam*_discs.json"))
    assert len(files) == 22
    for file in files:
        labels = read_label_map(Path(str(file).replace("discs.json", "labels-disc.nii.gz")))
        np.testing.assert_allclose(to_array(read_discs(file, point="center")), to_array(labels), atol=1e-4)


@pytest.mark.real_data
def test_posterior_voxels_of_real_exams_are_placed_as_their_affine_says(shared_data: Path) -> None:
    for file in sorted((shared_data / "spine" / "lumbar_t2_discs").glob("*_discs.json")):
        affine = nib.load(str(file).replace("discs.json", "T2w.nii.gz")).affine  # type: ignore[attr-defined]
        for disc, given in zip(read_discs(file), json.loads(file.read_text())["discs"], strict=True):
            np.testing.assert_allclose(disc.position, affine[:3] @ [*given["posterior_voxel"], 1], atol=1e-3)
