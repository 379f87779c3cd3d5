from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import write_nifti
from monai.data import MetaTensor

from bundle.io.input_checks import GridMismatchError
from bundle.tasks.spine.discs import Disc, DiscFileError, write_disc_csv
from bundle.tasks.spine.load_disc_points import LoadDiscPointsd


def write_points(path: Path, *discs: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"frame": "RAS", "unit": "mm", "image": "a.nii.gz", "discs": list(discs)}))
    return path


def entry(value: int, name: str, *position: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "name": name, "position": list(position), "confidence": None, **more}


def test_points_of_a_json_file_are_an_array_by_increasing_value(tmp_path: Path) -> None:
    file = write_points(tmp_path / "a.json", entry(4, "C3-C4", 1, 2.5, -30), entry(3, "C2-C3", 1, 2, -10))
    made = LoadDiscPointsd("label")({"label": str(file), "complete": True, "case": "a"})
    assert made["points"].dtype == np.float64
    np.testing.assert_array_equal(made["points"], [[3, 1, 2, -10], [4, 1, 2.5, -30]])
    assert made["label"] == str(file)
    assert made["complete"] is True


def test_points_of_a_label_map_are_placed_by_its_affine(tmp_path: Path) -> None:
    label = np.zeros((5, 6, 30), dtype=np.uint8)
    label[2, 3, 20], label[2, 4, 10] = 3, 4
    file = write_nifti(tmp_path / "a_labels-disc.nii.gz", label, np.diag([4.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(LoadDiscPointsd("label")({"label": file})["points"], [[3, 8, 3, 20], [4, 8, 4, 10]])


def test_extrapolated_discs_are_taken_on_request_alone(tmp_path: Path) -> None:
    file = write_points(
        tmp_path / "a.json", entry(24, "L4-L5", 1, 2, -10), entry(25, "L5-S1", 1, 2, -40, extrapolated=True)
    )
    assert LoadDiscPointsd("label")({"label": file})["points"][:, 0].tolist() == [24]
    assert LoadDiscPointsd("label", extrapolated=True)({"label": file})["points"][:, 0].tolist() == [24, 25]


def test_a_file_without_discs_gives_an_empty_array(tmp_path: Path) -> None:
    assert LoadDiscPointsd("label")({"label": write_points(tmp_path / "a.json")})["points"].shape == (0, 4)


def test_a_file_that_is_missing_or_not_a_file_of_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=r"none\.json"):
        LoadDiscPointsd("label")({"label": tmp_path / "none.json"})
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DiscFileError, match=r"a\.json"):
        LoadDiscPointsd("label")({"label": tmp_path / "a.json"})


def test_a_case_without_a_label_is_passed_over_on_request() -> None:
    assert LoadDiscPointsd("label", allow_missing_keys=True)({"image": "a"}) == {"image": "a"}


def test_points_come_from_one_file() -> None:
    with pytest.raises(ValueError, match="one file per case"):
        LoadDiscPointsd(["label", "other"])


def test_some_point_lies_in_the_image(tmp_path: Path) -> None:
    image = MetaTensor(torch.zeros(1, 5, 6, 30), affine=torch.eye(4))
    file = write_points(tmp_path / "a.json", entry(3, "C2-C3", 1, 2, 20), entry(4, "C3-C4", 1, 2, -30))
    assert len(LoadDiscPointsd("label")({"label": file, "image": image})["points"]) == 2
    moved = MetaTensor(torch.zeros(1, 5, 6, 30), affine=torch.diag(torch.tensor([1.0, 1, 0.5, 1])))
    moved.meta["filename_or_obj"] = "moved.nii.gz"
    with pytest.raises(GridMismatchError, match=r"a\.json: C2-C3, C3-C4 lie outside of the image moved\.nii\.gz"):
        LoadDiscPointsd("label")({"label": file, "image": moved})
    empty = write_points(tmp_path / "empty.json")
    assert LoadDiscPointsd("label")({"label": empty, "image": image})["points"].shape == (0, 4)


def test_voxel_and_mm_of_a_csv_agree_with_the_image(tmp_path: Path) -> None:
    image = MetaTensor(torch.zeros(1, 5, 6, 30), affine=torch.eye(4))
    write_disc_csv([Disc(3, (1.0, 2.0, 20.0))], tmp_path / "a.csv", affine=np.eye(4))
    assert len(LoadDiscPointsd("label")({"label": tmp_path / "a.csv", "image": image})["points"]) == 1
    text = (tmp_path / "a.csv").read_text().replace(",1,2,20,", ",1,2,18,")
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DiscFileError, match=r"a\.csv: line 2: C2-C3 is in voxel \[1, 2, 18\]"):
        LoadDiscPointsd("label")({"label": tmp_path / "a.csv", "image": image})


def test_next_to_t13_and_l6_points_have_the_levels_that_a_network_knows(tmp_path: Path) -> None:
    numbers = (19, 195, 205, 24, 245, 255)
    write_disc_csv(
        [Disc(number, (0.0, 0.0, -20.0 * place)) for place, number in enumerate(numbers)], tmp_path / "a.csv"
    )
    points = LoadDiscPointsd("label")({"label": tmp_path / "a.csv"})["points"]
    assert points[:, 0].tolist() == [19, 20, 24, 25]
    assert points[:, 3].tolist() == [0, -40, -60, -100]
