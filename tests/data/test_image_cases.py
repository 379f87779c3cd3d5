"""list_images and select_images find pictures where users say that they are, and name them without their ending."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.data import DatalistError, list_images, select_images
from bundle.data.image_cases import images_by_name


def dataset(root: Path, count: int = 10) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"ISIC_{number:07}.png").touch()
    return root


def names(cases: list[dict]) -> list[str]:
    return [case["case"] for case in cases]


def test_a_picture_a_folder_and_a_datalist_can_be_named(tmp_path: Path) -> None:
    images = dataset(tmp_path, 3) / "images"
    assert names(list_images(images)) == ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"]
    assert list_images(images / "a.b.jpg") == [{"case": "a.b", "image": str(images / "a.b.jpg")}]
    (tmp_path / "dataset.json").write_text(json.dumps({"test": ["images/ISIC_0000002.png"]}))
    (case,) = list_images(tmp_path / "dataset.json")
    assert case == {"case": "ISIC_0000002", "image": str(images / "ISIC_0000002.png")}


def test_names_that_meet_have_those_of_their_folders_in_front(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"test": ["small/1.png", "large/1.png", "large/2.png"]}))
    assert names(list_images(tmp_path / "dataset.json")) == ["small_1", "large_1", "2"]


def test_what_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="input is not set"):
        list_images("")
    with pytest.raises(DatalistError, match="holds no picture"):
        list_images(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"test": []}))
    with pytest.raises(DatalistError, match="'test' lists no picture"):
        list_images(tmp_path / "dataset.json")
    for ending in ("png", "jpg"):
        (tmp_path / f"a.{ending}").touch()
    with pytest.raises(DatalistError, match="would write the same output"):
        list_images(tmp_path)
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DatalistError, match="lies in output_dir"):
        list_images(tmp_path, tmp_path)


def test_a_folder_without_a_datalist_is_dealt_to_folds(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    training, validation = (select_images(root, split, fold=2) for split in ("training", "validation"))
    assert (len(training), len(validation)) == (8, 2)
    assert names(select_images(root, "all")) == sorted(names(training + validation))
    assert all(Path(case[key]).is_file() for case in training for key in ("image", "label"))
    for split, fold in (("test", 0), ("validation", 7)):
        with pytest.raises(DatalistError, match="pass --datalist FILE"):
            select_images(root, split, fold=fold)


def test_a_datalist_is_read_where_there_is_one(tmp_path: Path) -> None:
    root = dataset(tmp_path, 3)
    items = [{"image": f"images/ISIC_{n:07}.png", "label": f"masks/ISIC_{n:07}.png"} for n in range(3)]
    (root / "dataset.json").write_text(json.dumps({"training": items[:1], "validation": items[1:2], "test": items[2:]}))
    assert names(select_images(root, "validation")) == ["ISIC_0000001"]
    assert names(select_images(root, "test")) == ["ISIC_0000002"]
    (root / "other.json").write_text(json.dumps({"training": items, "test": []}))
    assert len(select_images(root, "all", root / "other.json")) == 3
    with pytest.raises(DatalistError, match="is not a folder"):
        select_images(root / "absent", "test")


def test_a_picture_of_several_files_is_refused() -> None:
    with pytest.raises(DatalistError, match="a picture is one file"):
        images_by_name([{"image": ["a.png", "b.png"]}])
