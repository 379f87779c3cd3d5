from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.tasks.spine.discs import Disc, DiscFileError, read_markups, write_markups

DISCS = [Disc(3, (2.25, -7.0, 30.5), 0.9375), Disc(25, (-2.0, 4.0, -60.0))]


def save(path: Path, *points: dict[str, Any], **node: Any) -> Path:
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": list(points), **node}]}))
    return path


@pytest.mark.parametrize(("system", "first"), [("LPS", [-2.25, 7.0, 30.5]), ("RAS", [2.25, -7.0, 30.5])])
def test_the_file_states_its_coordinate_system_and_uses_it(tmp_path: Path, system: str, first: list[float]) -> None:
    write_markups(DISCS, tmp_path / "a.mrk.json", coordinate_system=system)
    content = json.loads((tmp_path / "a.mrk.json").read_text())
    assert content["@schema"].endswith("Markups/Resources/Schema/markups-schema-v1.0.0.json#")
    (node,) = content["markups"]
    assert (node["type"], node["coordinateSystem"], node["coordinateUnits"]) == ("Fiducial", system, "mm")
    assert [point["label"] for point in node["controlPoints"]] == ["C2-C3", "L5-S1"]
    assert [point["description"] for point in node["controlPoints"]] == ["value 3, confidence 0.9375", "value 25"]
    assert node["controlPoints"][0]["position"] == first
    assert read_markups(tmp_path / "a.mrk.json") == DISCS


def test_slicers_own_frame_is_the_default(tmp_path: Path) -> None:
    write_markups(DISCS, tmp_path / "a.mrk.json")
    assert json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]["coordinateSystem"] == "LPS"
    file = save(tmp_path / "b.mrk.json", {"label": "L1/L2", "position": [1, 2, 3]})
    assert read_markups(file) == [Disc(21, (-1.0, -2.0, 3.0))]


def test_points_that_were_not_placed_and_empty_lists_give_no_discs(tmp_path: Path) -> None:
    preview = {"label": "C2-C3", "position": [0, 0, 0], "positionStatus": "preview"}
    missing = {"label": "F-1", "positionStatus": "undefined"}
    assert read_markups(save(tmp_path / "a.mrk.json", preview, missing)) == []
    write_markups([], tmp_path / "b.mrk.json")
    assert read_markups(tmp_path / "b.mrk.json") == []
    (tmp_path / "c.mrk.json").write_text('{"markups": [{}]}')
    assert read_markups(tmp_path / "c.mrk.json") == []


def test_other_coordinate_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"coordinate_system must be one of LPS, RAS, got 'RAI'"):
        write_markups(DISCS, tmp_path / "a.mrk.json", coordinate_system="RAI")
    with pytest.raises(DiscFileError, match=r"has the coordinate system \['LPS'\]; save it in LPS or RAS"):
        read_markups(save(tmp_path / "a.mrk.json", coordinateSystem=["LPS"]))
    with pytest.raises(DiscFileError, match=r"has the coordinate system 'RAI'; save it in LPS or RAS"):
        read_markups(save(tmp_path / "a.mrk.json", coordinateSystem="RAI"))


@pytest.mark.parametrize("points", [None, {}, ["C2-C3"], [[1, 2, 3]]])
def test_control_points_that_are_no_objects_are_refused(tmp_path: Path, points: Any) -> None:
    (tmp_path / "a.mrk.json").write_text(json.dumps({"markups": [{"controlPoints": points}]}))
    with pytest.raises(
        DiscFileError, match=r"^\S*a\.mrk\.json: has control points that are no objects; save the points"
    ):
        read_markups(tmp_path / "a.mrk.json")


@pytest.mark.parametrize("markups", [None, {}, [1]])
def test_a_file_without_markups_is_refused(tmp_path: Path, markups: Any) -> None:
    (tmp_path / "a.mrk.json").write_text(json.dumps({"markups": markups}))
    with pytest.raises(DiscFileError, match=r"a.mrk.json: holds no markups; save the points in 3D Slicer"):
        read_markups(tmp_path / "a.mrk.json")


@pytest.mark.parametrize(
    "point",
    [
        {"label": "F-1", "position": [1, 2, 3]},
        {"position": [1, 2, 3]},
        {"label": 3, "position": [1, 2, 3]},
        {"label": "C2-C3"},
        {"label": "C2-C3", "position": [1, 2]},
        {"label": "C2-C3", "position": [1, 2, 3], "description": "confidence 7"},
    ],
)
def test_a_point_that_is_not_a_disc_is_named(tmp_path: Path, point: dict[str, Any]) -> None:
    with pytest.raises(DiscFileError, match=r"the point .* is not a disc \(.*\); name it by its level"):
        read_markups(save(tmp_path / "a.mrk.json", point))
