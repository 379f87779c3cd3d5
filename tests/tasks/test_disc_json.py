"""Discs as JSON files, those of the sample exams too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bundle.tasks.spine.discs import (
    Disc,
    DiscFileError,
    read_disc_json,
    read_discs,
    read_label_map,
    to_array,
    write_disc_json,
)
from bundle.tasks.spine.discs.disc_json import read_json_object

AFFINE = np.array([[0.0, 0, 4, -30], [0, -1, 0, 50], [-0.5, 0, 0, 80], [0, 0, 0, 1]])
DISCS = [Disc(3, (2.25, -7.0625, 30.5), 0.9375), Disc(25, (-2.0, 4.0, -60.0))]


def test_a_json_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=r"none.json: cannot be read as JSON"):
        read_json_object(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DiscFileError, match=r"a.json: cannot be read as JSON"):
        read_json_object(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DiscFileError, match=r"a.json: holds a list, not an object; export it again"):
        read_json_object(tmp_path / "a.json")


def test_a_json_states_its_frame_unit_and_image(tmp_path: Path) -> None:
    write_disc_json(DISCS, tmp_path / "a.json", image="t2.nii.gz", affine=AFFINE, extrapolated={25})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "frame": "RAS",
        "unit": "mm",
        "image": "t2.nii.gz",
        "discs": [
            {"value": 3, "name": "C2-C3", "position": [2.25, -7.0625, 30.5], "voxel": [99, 57, 8],
             "confidence": 0.9375},
            {"value": 25, "name": "L5-S1", "position": [-2.0, 4.0, -60.0], "voxel": [280, 46, 7], "confidence": None,
             "extrapolated": True},
        ],
    }  # fmt: skip


def test_a_json_is_read_back_exactly(tmp_path: Path) -> None:
    discs = [Disc(3, (0.1 + 0.2, 1 / 3, -2e-9), 1 / 7), DISCS[1]]
    write_disc_json(discs, tmp_path / "a.json")
    assert read_disc_json(tmp_path / "a.json") == discs
    write_disc_json([], tmp_path / "a.json")
    assert read_disc_json(tmp_path / "a.json") == []


@pytest.mark.parametrize("change", [{"frame": "LPS"}, {"unit": "cm"}, {"discs": {}}, {"frame": None}])
def test_a_json_in_another_frame_or_unit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    content = {"frame": "RAS", "unit": "mm", "discs": []} | change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DiscFileError, match=r"a.json: is not a list of discs in RAS mm: frame .*, unit .*; give it"):
        read_disc_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("C2-C3", ""),
        ({"value": 3}, "position"),
        ({"value": [3], "position": [1, 2, 3]}, "unhashable"),
        ({"value": 3, "position": [1, 2]}, ""),
        ({"value": 3, "position": [1, 2, None]}, "three finite numbers"),
        ({"value": 3, "position": [1, 2, 3], "name": "C3/C4"}, "number 3 is C2-C3, not C3/C4"),
        ({"value": 3, "position": [1, 2, 3], "confidence": 2}, "confidence"),
    ],
)
def test_a_json_entry_that_is_not_a_disc_is_shown(tmp_path: Path, entry: Any, problem: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"frame": "RAS", "unit": "mm", "discs": [entry]}))
    with pytest.raises(
        DiscFileError, match=rf"a.json: the entry .* is not a disc \(.*{problem}.*\); correct the entry"
    ):
        read_disc_json(tmp_path / "a.json")


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
    discs = read_disc_json(write(tmp_path / "a.json", exam()))
    assert discs == [Disc(21, (29.0, -194.0, -11.0)), Disc(24, (37.0, -176.0, -42.0))]


def test_centers_are_read_as_they_are(tmp_path: Path) -> None:
    discs = read_disc_json(write(tmp_path / "a.json", exam()), point="center")
    assert discs == [Disc(21, (29.0, -180.0, -11.0)), Disc(24, (33.0, -160.0, -41.0))]


def test_an_exam_without_discs_has_no_points(tmp_path: Path) -> None:
    assert read_disc_json(write(tmp_path / "a.json", {"spacing_mm": [1, 1, 1], "discs": []})) == []


@pytest.mark.parametrize("discs", ["none", [{"value": 3}, 4]])
def test_a_voxel_size_alone_does_not_make_an_exam(tmp_path: Path, discs: Any) -> None:
    file = write(tmp_path / "a.json", {"spacing_mm": [1, 1, 1], "discs": discs})
    with pytest.raises(DiscFileError, match="is not a list of discs in RAS mm"):
        read_disc_json(file)


def test_without_posterior_voxels_the_error_names_a_remedy(tmp_path: Path) -> None:
    content = exam()
    for disc in content["discs"]:
        del disc["posterior_voxel"]
    file = write(tmp_path / "a.json", content)
    with pytest.raises(DiscFileError, match=r'no posterior voxel for disc 24, only its center; read it with point="ce'):
        read_disc_json(file)
    assert [disc.value for disc in read_disc_json(file, point="center")] == [21, 24]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"world_mm": [0.0, 0.0, 0.0]}, "voxels and world positions do not agree"),
        ({"world_mm": None}, ""),
        ({"value": 99}, "99 is not the number of a disc"),
    ],
)
def test_discs_that_cannot_be_used_are_reported(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DiscFileError, match=rf"a.json: holds discs that cannot be used \(.*{problem}.*\); correct it"):
        read_disc_json(write(tmp_path / "a.json", exam(**changes)))


@pytest.mark.real_data
def test_centers_of_all_real_exams_are_those_of_their_label_maps(shared_data: Path) -> None:
    files = sorted((shared_data / "spine").glob("*/exam*_discs.json"))
    assert len(files) == 22
    for file in files:
        labels = read_label_map(Path(str(file).replace("discs.json", "labels-disc.nii.gz")))
        np.testing.assert_allclose(to_array(read_discs(file, point="center")), to_array(labels), atol=1e-4)


@pytest.mark.real_data
def test_posterior_voxels_of_real_exams_are_placed_by_their_affine(shared_data: Path) -> None:
    for file in sorted((shared_data / "spine" / "lumbar_t2_discs").glob("*_discs.json")):
        affine = nib.load(str(file).replace("discs.json", "T2w.nii.gz")).affine  # type: ignore[attr-defined]
        for disc, given in zip(read_discs(file), json.loads(file.read_text())["discs"], strict=True):
            np.testing.assert_allclose(disc.position, affine[:3] @ [*given["posterior_voxel"], 1], atol=1e-3)
