"""Discs as points of interest of TPTBox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.phantoms import rotation

from bundle.tasks.spine.discs import Disc, DiscFileError, read_disc_pois, read_discs, write_disc_pois

DISCS = [Disc(3, (2.25, -7.0, 30.5)), Disc(20, (1.0, 2.0, -20.0)), Disc(25, (-2.0, 4.0, -60.0))]
AFFINE = rotation(12, 8, -9) @ np.array([[0.0, 0, 4, -30], [0, -1, 0, 50], [-0.5, 0, 0, 80], [0, 0, 0, 1]])
POSITIONS = [disc.position for disc in DISCS]
GRID = {"point": "posterior", "zoom": [1, 1, 1], "rotation": np.eye(3).tolist(), "origin": [0, 0, 0]}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def voxels() -> dict[int, list[float]]:
    """Return the voxels of the discs by the number of the vertebra above."""
    inverse = np.linalg.inv(AFFINE)
    return {disc.value - 1: (inverse @ [*disc.position, 1])[:3].tolist() for disc in DISCS}


def test_discs_are_written_in_voxels_with_the_grid(tmp_path: Path) -> None:
    write_disc_pois([Disc(1, (0, 0, 60)), *DISCS], tmp_path / "a_poi.json", affine=AFFINE, shape=(200, 100, 15))
    grid, points = json.loads((tmp_path / "a_poi.json").read_text())
    assert (grid["direction"], grid["shape"], grid["format"]) == (["I", "P", "R"], [200, 100, 15], "POI")
    np.testing.assert_allclose(np.array(grid["rotation"]) @ np.diag(grid["zoom"]), AFFINE[:3, :3], atol=1e-9)
    np.testing.assert_allclose(grid["origin"], AFFINE[:3, 3])
    assert list(points) == ["C2", "T12", "L5"]
    np.testing.assert_allclose(points["L5"]["100"], voxels()[24], atol=1e-4)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_disc_pois(DISCS, tmp_path / "a_poi.json", affine=AFFINE, shape=(200, 100, 15))
    found = read_discs(tmp_path / "a_poi.json")
    assert [disc.value for disc in found] == [3, 20, 25]
    np.testing.assert_allclose([disc.position for disc in found], POSITIONS, atol=1e-3)


@pytest.mark.parametrize("name", ["100", "Vertebra_Disc"])
def test_names_and_numbers_of_regions_are_read_and_other_points_are_skipped(name: str, tmp_path: Path) -> None:
    zoom = np.linalg.norm(AFFINE[:3, :3], axis=0)
    grid = {"zoom": zoom.tolist(), "rotation": (AFFINE[:3, :3] / zoom).tolist(), "origin": AFFINE[:3, 3].tolist()}
    points = {"C2": {name: voxels()[2], "50": [1, 2, 3]}, "19": {name: voxels()[19]}, "L5": {name: voxels()[24]}}
    points |= {"COCC": {"Vertebra_Corpus": [1, 2, 3]}}
    found = read_disc_pois(write(tmp_path / "a.json", [grid, points]), point="center")
    assert [disc.value for disc in found] == [3, 20, 25]
    np.testing.assert_allclose([disc.position for disc in found], POSITIONS, atol=1e-6)


def older(direction: list[str]) -> list[dict[str, Any]]:
    """Return the form with labels, without rotation and origin."""
    points = [
        {"label": 256 * 100 + region, "X": place[0], "Y": place[1], "Z": place[2]} for region, place in voxels().items()
    ]
    return [{"direction": direction, "zoom": [0.5, 1, 4]}, {"label": 20, "X": 1, "Y": 2, "Z": 3}, *points]


def test_labels_of_region_and_subregion_are_read_with_the_axes_of_the_image(tmp_path: Path) -> None:
    file = write(tmp_path / "a_ctd.json", older(["I", "P", "R"]))
    found = read_discs(file, affine=AFFINE, point="center")
    assert [disc.value for disc in found] == [3, 20, 25]
    np.testing.assert_allclose([disc.position for disc in found], POSITIONS, atol=1e-6)


@pytest.mark.parametrize(("direction", "affine"), [(["I", "P", "R"], None), (["P", "I", "R"], AFFINE), ([], AFFINE)])
def test_voxels_without_a_known_grid_are_refused(direction: list[str], affine: Any, tmp_path: Path) -> None:
    with pytest.raises(
        DiscFileError,
        match=r"^\S*a\.json: has voxels along .* without rotation and origin; .*current version of TPTBox",
    ):
        read_disc_pois(write(tmp_path / "a.json", older(direction)), affine=affine, point="center")


@pytest.mark.parametrize(("system", "signs"), [("nib", (1, 1, 1)), ("itk", (-1, -1, 1))])
def test_world_coordinates_are_read(system: str, signs: tuple[int, int, int], tmp_path: Path) -> None:
    points = {"L5": {"100": (np.array(signs) * POSITIONS[2]).tolist()}}
    file = write(tmp_path / "a.json", [{"format": "POI_GLOBAL", "coordinate_system": system}, points])
    assert read_disc_pois(file, point="center") == [DISCS[2]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([{"direction": ["R", "A", "S"]}, {"L5": {"50": [1, 2, 3]}}], "holds no disc; a disc is the subregion 100"),
        ([{}, {"26": {"100": [1, 2, 3]}}], r"below the vertebrae \[26\], which are unknown"),
        ([], "is not a list of points of interest"),
        ([{}, 3], "is not a list of points of interest"),
        ([{}, {"label": "SSL_CR", "X": 1, "Y": 2, "Z": 3}], "is not a list of points of interest"),
        ([{}, {"L5": {"100": [1, 2]}}], "is not a list of points of interest"),
        ([3, {"L5": {"100": [1, 2, 3]}}], "has a first entry, or points, from which no place follows"),
        ([GRID | {"rotation": [[1, 0], [0, 1]]}, {"L5": {"100": [1, 2, 3]}}], "from which no place follows"),
        ([GRID | {"zoom": "1 mm"}, {"L5": {"100": [1, 2, 3]}}], "from which no place follows"),
        ([GRID, {"L5": {"100": [1, 2, float("nan")]}}], "from which no place follows .the position of L5-S1"),
    ],
)
def test_what_is_no_disc_is_refused(content: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=problem):
        read_disc_pois(write(tmp_path / "a.json", content))


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[")
    with pytest.raises(DiscFileError, match=r"a.json: cannot be read as JSON"):
        read_discs(tmp_path / "a.json")


def test_discs_next_to_t13_and_l6_are_read_as_they_are_written(tmp_path: Path) -> None:
    file, numbers = tmp_path / "a_poi.json", [19, 195, 205, 24, 245, 255]
    discs = [Disc(number, (0.0, 0.0, -20.0 * place)) for place, number in enumerate(numbers)]
    write_disc_pois(discs, file, affine=np.eye(4), shape=(9, 9, 9))
    assert list(json.loads(file.read_text())[1]) == ["T11", "T12", "T13", "L4", "L5", "L6"]
    assert read_discs(file) == discs


def test_points_of_tptbox_are_centers_and_no_posterior_tips(tmp_path: Path) -> None:
    write_disc_pois(DISCS, tmp_path / "a_poi.json", affine=AFFINE, shape=(200, 100, 15))
    grid, points = json.loads((tmp_path / "a_poi.json").read_text())
    assert grid.pop("point") == "posterior"
    for header in (grid, grid | {"point": "center"}):
        file = write(tmp_path / "b_poi.json", [header, points])
        with pytest.raises(
            DiscFileError, match=r"^\S*b_poi\.json: has the centers of discs .*; derive the tips from the mask"
        ):
            read_discs(file)
        assert [disc.value for disc in read_discs(file, point="center")] == [3, 20, 25]
    with pytest.raises(ValueError, match="point must be one of"):
        read_disc_pois(tmp_path / "a_poi.json", point="tip")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "names"), [("L6", ["L4-L5", "L5-L6"]), ("25", ["L4-L5", "L5-L6"]), ("S1", ["L4-L5", "L5-S1"])]
)
def test_a_body_of_l6_shows_that_the_disc_below_l5_is_above_it(last: str, names: list[str], tmp_path: Path) -> None:
    points = {"L4": {"100": [0, 0, 9]}, "L5": {"100": [0, 0, 5]}, last: {"50": [0, 0, 1]}}
    assert [disc.name for disc in read_discs(write(tmp_path / "a.json", [GRID, points]))] == names
    points = {"T12": {"100": [0, 0, 9]}, "T13": {"50": [0, 0, 1]}}
    assert [disc.name for disc in read_discs(write(tmp_path / "a.json", [GRID, points]))] == ["T12-T13"]
