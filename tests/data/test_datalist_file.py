"""Datalists are written one case per line with relative paths, and read again."""

from __future__ import annotations

from pathlib import Path

import bundle.data
from bundle.data import datalist_file
from bundle.data.datalist_file import datalist_content, relative_files


def numbered(count: int) -> list[dict]:
    return [
        {"image": f"/data/images/{number:03}.jpg", "label": f"/data/masks/{number:03}.png"} for number in range(count)
    ]


def test_there_is_one_error() -> None:
    assert bundle.data.DatalistError is datalist_file.DatalistError
    assert issubclass(datalist_file.DatalistError, ValueError)


def test_a_case_of_several_files_has_several_paths() -> None:
    assert relative_files(["/a/b/c.nii", "/a/d.nii"], "/a/b") == ["c.nii", "../d.nii"]
    assert relative_files("/a/b/c.nii", "/a/b") == "c.nii"


def test_a_datalist_has_relative_paths_channels_and_classes(tmp_path: Path) -> None:
    both = {"image": [str(tmp_path / "b_1"), str(tmp_path / "b_2")], "label": str(tmp_path / "x" / "b"), "fold": 1}
    parts = {"training": [both, {"image": str(tmp_path / "a"), "case": "a"}]}
    content = datalist_content(tmp_path, parts, seed=3, modality=["T1", "T2"], table={"liver": [4], "spleen": ["6-7"]})
    assert content == {
        "seed": 3,
        "modality": {"0": "T1", "1": "T2"},
        "label_values": {"liver": [4], "spleen": ["6-7"]},
        "labels": {"0": "background", "1": "liver", "2": "spleen"},
        "training": [{"image": "a"}, {"image": ["b_1", "b_2"], "label": "x/b", "fold": 1}],
        "test": [],
    }
    plain = datalist_content(tmp_path, {}, seed=0, labels={"0": "background", "1": "liver"})
    assert list(plain) == ["seed", "labels", "training", "test"]


def test_a_datalist_has_relative_paths_and_a_fold_for_validation() -> None:
    first, second, third = numbered(3)
    content = datalist_content("/data", {"training": [second], "validation": [first], "test": [third]}, seed=7)
    assert content == {
        "seed": 7,
        "training": [
            {"image": "images/000.jpg", "label": "masks/000.png", "fold": 0},
            {"image": "images/001.jpg", "label": "masks/001.png", "fold": 1},
        ],
        "test": [{"image": "images/002.jpg", "label": "masks/002.png"}],
    }
    alone = datalist_content("/data/images", {"training": [{**first, "fold": 3}]}, seed=0)
    assert alone["training"] == [{"image": "000.jpg", "label": "../masks/000.png", "fold": 3}]
