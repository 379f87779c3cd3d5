"""prepare_image_folder assigns images with masks, of one folder or several, once each and never apart from copies."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bundle.data import DatalistError, load_datalist, select_images
from bundle.data.datalist_file import write_datalist
from bundle.data.image_folder import prepare_image_folder


def dataset(root: Path, count: int = 20, images: str = "images", masks: str = "masks") -> Path:
    for folder, ending in ((images, ".jpg"), (masks, ".png")):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"{number}{ending}").touch()
    return root


def images(items: list[dict]) -> list[str]:
    return [item["image"] for item in items]


@pytest.mark.parametrize("folders", [("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr")])
def test_every_image_is_assigned_once(folders: tuple[str, str], tmp_path: Path) -> None:
    content = prepare_image_folder(dataset(tmp_path, 20, *folders), test_share=0.25, folds=3)
    every = images(content["training"]) + images(content["test"])
    assert sorted(every) == sorted(f"{folders[0]}/{number}.jpg" for number in range(20))
    assert len(content["test"]) == 5
    assert Counter(item["fold"] for item in content["training"]) == {0: 5, 1: 5, 2: 5}
    assert all(Path(item["label"]).stem == Path(item["image"]).stem for item in content["training"] + content["test"])


def test_the_datalist_is_what_trainings_read(tmp_path: Path) -> None:
    content = prepare_image_folder(dataset(tmp_path), folds=4)
    write_datalist(content, tmp_path / "dataset.json")
    lists = load_datalist(tmp_path)
    assert [len(lists[name]) for name in ("training", "test")] == [16, 4]
    assert all(Path(case["label"]).is_file() for case in lists["training"] + lists["test"])
    assert {case["fold"] for case in lists["training"]} == {0, 1, 2, 3}


def test_the_seed_decides(tmp_path: Path) -> None:
    dataset(tmp_path)
    assert prepare_image_folder(tmp_path, seed=3) == prepare_image_folder(tmp_path, seed=3)
    assert prepare_image_folder(tmp_path, seed=3)["test"] != prepare_image_folder(tmp_path, seed=4)["test"]


def test_copies_of_a_image_at_two_sizes_stay_together(tmp_path: Path) -> None:
    dataset(tmp_path / "large")
    dataset(tmp_path / "small")
    content = prepare_image_folder(tmp_path, folds=3)
    where = {item["image"]: item.get("fold", "test") for item in content["training"] + content["test"]}
    assert len(where) == 40
    assert all(where[f"large/images/{number}.jpg"] == where[f"small/images/{number}.jpg"] for number in range(20))
    assert len(content["test"]) == 8


def test_blocks_of_consecutive_names_stay_together(tmp_path: Path) -> None:
    content = prepare_image_folder(dataset(tmp_path), block=4, folds=2)
    where = {int(Path(item["image"]).stem): item.get("fold", "test") for item in content["training"] + content["test"]}
    for start in range(0, 20, 4):
        assert len({where[number] for number in range(start, start + 4)}) == 1
    assert len(content["test"]) == 4


def test_parts_that_a_table_names_are_kept(tmp_path: Path) -> None:
    rows = [f"{number},{'validation' if number < 4 else 'training'}" for number in range(20)]
    (dataset(tmp_path) / "split.csv").write_text("\n".join(["image,split", *rows]) + "\n")
    content = prepare_image_folder(tmp_path, splits="split.csv")
    assert content["test"] == []
    held_out = [item["image"] for item in content["training"] if item["fold"] == 0]
    assert sorted(held_out) == [f"images/{number}.jpg" for number in range(4)]


def test_nothing_is_held_out_where_that_is_asked_for(tmp_path: Path) -> None:
    assert prepare_image_folder(dataset(tmp_path, 5), test_share=0)["test"] == []


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for options in ({"test_share": 1}, {"folds": 1}, {"block": 0}):
        with pytest.raises(DatalistError, match="must lie in"):
            prepare_image_folder(tmp_path, **options)
    with pytest.raises(DatalistError, match="is not a folder"):
        prepare_image_folder(tmp_path / "absent")
    with pytest.raises(DatalistError, match="no images with masks in images/masks or"):
        prepare_image_folder(tmp_path)
    with pytest.raises(DatalistError, match="2 images, patients or blocks are left for 5 folds"):
        prepare_image_folder(dataset(tmp_path, 2))


@pytest.mark.real_data
def test_the_sample_data_is_listed(shared_data: Path) -> None:
    content = prepare_image_folder(shared_data / "skin_segmentation")
    assert len(content["training"]) + len(content["test"]) == 121
    assert len(content["test"]) == 24
    content = prepare_image_folder(shared_data / "cells" / "myeloma_512", block=5, folds=3)
    assert len(content["training"]) + len(content["test"]) == 70


def numbered(root: Path, count: int = 10) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"ISIC_{number:07}.png").touch()
    return root


def names(cases: list[dict]) -> list[str]:
    return [case["case"] for case in cases]


def test_a_folder_without_a_datalist_is_assigned_to_folds(tmp_path: Path) -> None:
    root = numbered(tmp_path)
    training, validation = (select_images(root, split, fold=2) for split in ("training", "validation"))
    assert (len(training), len(validation)) == (8, 2)
    assert names(select_images(root, "all")) == sorted(names(training + validation))
    assert all(Path(case[key]).is_file() for case in training for key in ("image", "label"))
    assert len(select_images(root, "training", fold="all")) == 10
    with pytest.raises(DatalistError, match="pass --datalist FILE"):
        select_images(root, "test")
    with pytest.raises(DatalistError, match=r"has no fold 7, only \[0, 1, 2, 3, 4\]; pass --fold"):
        select_images(root, "validation", fold=7)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_folder_of_few_images_needs_no_five_folds(count: int, tmp_path: Path) -> None:
    root = numbered(tmp_path, count)
    assert len(select_images(root, "all")) == count
    assert {case["fold"] for case in select_images(root, "training", fold="all")} == set(range(count))


def test_images_of_a_patient_in_a_table_stay_together(tmp_path: Path) -> None:
    root = numbered(tmp_path, 12)
    rows = [f"ISIC_{number:07},IP_{number % 6}" for number in range(10)]
    (root / "metadata.csv").write_text("\n".join(["isic_id,patient_id", *rows]) + "\n")
    content = prepare_image_folder(root, folds=3)
    parts: dict[str, set[object]] = {}
    for item in content["training"] + content["test"]:
        parts.setdefault(item.get("patient", item["image"]), set()).add(item.get("fold", "test"))
    assert len(parts) == 8
    assert all(len(found) == 1 for found in parts.values())


def test_a_datalist_is_read_where_there_is_one(tmp_path: Path) -> None:
    root = numbered(tmp_path, 3)
    items = [{"image": f"images/ISIC_{n:07}.png", "label": f"masks/ISIC_{n:07}.png"} for n in range(3)]
    (root / "dataset.json").write_text(json.dumps({"training": items[:1], "validation": items[1:2], "test": items[2:]}))
    assert names(select_images(root, "validation")) == ["ISIC_0000001"]
    assert names(select_images(root, "test")) == ["ISIC_0000002"]
    (root / "other.json").write_text(json.dumps({"training": items, "test": []}))
    assert len(select_images(root, "all", root / "other.json")) == 3
    with pytest.raises(DatalistError, match="is not a folder"):
        select_images(root / "absent", "test")
