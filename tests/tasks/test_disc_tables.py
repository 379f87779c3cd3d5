from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle.tasks.spine.discs import Disc, DiscFileError, read_csv, read_json, write_csv, write_json
from bundle.tasks.spine.discs.disc_tables import load_json

AFFINE = np.array([[0.0, 0, 4, -30], [0, -1, 0, 50], [-0.5, 0, 0, 80], [0, 0, 0, 1]])
DISCS = [Disc(3, (2.25, -7.0625, 30.5), 0.9375), Disc(25, (-2.0, 4.0, -60.0))]


def test_a_csv_has_number_name_position_voxel_and_confidence(tmp_path: Path) -> None:
    write_csv(DISCS, tmp_path / "a.csv", affine=AFFINE)
    with open(tmp_path / "a.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {
        "level_value": "3", "level_name": "C2-C3", "R_mm": "2.250", "A_mm": "-7.062", "S_mm": "30.500",
        "i": "99", "j": "57", "k": "8", "confidence": "0.9375",
    }  # fmt: skip
    assert (rows[1]["level_name"], rows[1]["i"], rows[1]["confidence"]) == ("L5-S1", "280", "")


def test_a_csv_is_read_back(tmp_path: Path) -> None:
    write_csv(DISCS, tmp_path / "a.csv")
    first, second = read_csv(tmp_path / "a.csv")
    assert (first.value, first.confidence) == (3, 0.9375)
    np.testing.assert_allclose(first.position, DISCS[0].position, atol=5e-4)
    assert second == DISCS[1]


def test_a_csv_of_few_columns_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufefflevel_value,R_mm,A_mm,S_mm\n4,1,2,3\n", encoding="utf-8")
    assert read_csv(tmp_path / "a.csv") == [Disc(4, (1.0, 2.0, 3.0))]


@pytest.mark.parametrize("text", ["", "level_value;R_mm\n3;1\n"])
def test_a_csv_without_the_columns_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DiscFileError, match=r"a.csv: has no columns \['level_value', .* but .*; name them so"):
        read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("3.5,,1,2,3", "invalid literal"),
        ("3,,1,2,x", "could not convert"),
        ("3,,1,2", "three finite numbers"),
        ("30,,1,2,3", "30 is no number of a disc"),
        ("3,C3-C4,1,2,3", "number 3 is C2-C3, not C3-C4"),
        ("3,C3-C9,1,2,3", "'C3-C9' is no name of a disc"),
    ],
)
def test_a_csv_line_that_is_no_disc_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(f"level_value,level_name,R_mm,A_mm,S_mm\n2,,1,2,3\n{line}\n")
    with pytest.raises(DiscFileError, match=rf"a.csv: line 3 is no disc \(.*{problem}.*\); correct the line"):
        read_csv(tmp_path / "a.csv")


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=r"none.csv: cannot be read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DiscFileError, match=r"a.csv: cannot be read"):
        read_csv(tmp_path / "a.csv")
    with pytest.raises(DiscFileError, match=r"none.json: cannot be read as JSON"):
        load_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DiscFileError, match=r"a.json: cannot be read as JSON"):
        load_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DiscFileError, match=r"a.json: holds a list, not an object; export it again"):
        load_json(tmp_path / "a.json")


def test_a_json_says_its_frame_unit_and_image(tmp_path: Path) -> None:
    write_json(DISCS, tmp_path / "a.json", image="t2.nii.gz", affine=AFFINE, extrapolated={25})
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
    write_json(discs, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == discs
    write_json([], tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == []


@pytest.mark.parametrize("change", [{"frame": "LPS"}, {"unit": "cm"}, {"discs": {}}, {"frame": None}])
def test_a_json_in_another_frame_or_unit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    content = {"frame": "RAS", "unit": "mm", "discs": []} | change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DiscFileError, match=r"a.json: is no list of discs in RAS mm: frame .*, unit .*; give it"):
        read_json(tmp_path / "a.json")


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
def test_a_json_entry_that_is_no_disc_is_shown(tmp_path: Path, entry: Any, problem: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"frame": "RAS", "unit": "mm", "discs": [entry]}))
    with pytest.raises(DiscFileError, match=rf"a.json: the entry .* is no disc \(.*{problem}.*\); correct the entry"):
        read_json(tmp_path / "a.json")
