"""Every dataset of images is listed by its command, and the list is read by the function that a config names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bundle.cli import main as commands
from bundle.data import select_classified, select_images


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test run alone."""
    monkeypatch.setattr(commands.logging, "basicConfig", lambda **_: None)


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def prepare(*words: str | Path) -> int:
    return commands.main(["prepare", *map(str, words)])


def sizes(file: Path) -> tuple[int, int]:
    content: dict[str, Any] = json.loads(file.read_text())
    return len(content["training"]), len(content["test"])


def test_isic_2017_is_listed_for_both_tasks(tmp_path: Path) -> None:
    rows = ["image_id,melanoma,seborrheic_keratosis"]
    for number in range(20):
        name = f"ISIC_{number:07}"
        touch(tmp_path / "ISIC-2017_Training_Data" / f"{name}.jpg")
        touch(tmp_path / "ISIC-2017_Training_Part1_GroundTruth" / f"{name}_segmentation.png")
        rows.append(f"{name},{number % 2}.0,0.0")
    (tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    assert prepare("isic2017", tmp_path, "--split", "paper") == 0
    assert len(select_images(tmp_path, "training")) == 12
    classes = tmp_path / "classes.json"
    assert prepare("isic2017", tmp_path, "--task", "classification", "--output", classes) == 0
    assert len(select_classified(tmp_path, "all", classes=["melanoma"], datalist=classes)) == 20
    assert prepare("isic2017", tmp_path / "absent") == 2


def test_isic_2018_is_listed(tmp_path: Path) -> None:
    for number in range(20):
        touch(tmp_path / "ISIC2018_Task1-2_Training_Input" / f"ISIC_{number:07}.jpg")
        touch(tmp_path / "ISIC2018_Task1_Training_GroundTruth" / f"ISIC_{number:07}_segmentation.png")
    assert prepare("isic2018", tmp_path, "--split", "paper", "--seed", "1") == 0
    assert sizes(tmp_path / "dataset.json") == (16, 4)


def test_ph2_is_listed(tmp_path: Path) -> None:
    for number in range(2, 12):
        name = f"IMD{number:03}"
        touch(tmp_path / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        touch(tmp_path / name / f"{name}_lesion" / f"{name}_lesion.bmp")
    assert prepare("ph2", tmp_path) == 0
    assert sizes(tmp_path / "dataset.json") == (5, 5)


def test_the_cells_of_segpc_2021_are_put_together_and_listed(tmp_path: Path) -> None:
    for part, name in ((part, name) for part in ("train", "validation") for name in "ab"):
        for kind, number in (("x", ""), ("y", "_1")):
            file = tmp_path / part / kind / f"{name}{number}.bmp"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 40).save(file)
    masks = tmp_path / "cells"
    assert prepare("segpc2021", tmp_path, "--folds", "2", "--target", "parts", "--masks_dir", masks) == 0
    assert sizes(tmp_path / "dataset.json") == (2, 2)
    assert (masks / "train" / "a.png").is_file()


def test_images_with_masks_are_listed_by_blocks(tmp_path: Path) -> None:
    for number in range(8):
        touch(tmp_path / "images" / f"{number}.png", tmp_path / "masks" / f"{number}.png")
    assert prepare("images", tmp_path, "--block", "2", "--test_share", "0.25", "--folds", "3") == 0
    content = json.loads((tmp_path / "dataset.json").read_text())
    assert sizes(tmp_path / "dataset.json") == (6, 2)
    assert len({item["fold"] for item in content["training"]}) == 3


def test_images_with_classes_are_listed(tmp_path: Path) -> None:
    rows = ["image,benign"]
    for number in range(10):
        touch(tmp_path / "photos" / f"{number}.png")
        rows.append(f"{number},{number % 2}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    options = ["--classes", "benign", "--images", "photos", "--table", "table.csv", "--folds", "2"]
    assert prepare("classified", tmp_path, *options) == 0
    assert sizes(tmp_path / "dataset.json") == (8, 2)


def test_crops_of_single_cells_are_written_and_listed(tmp_path: Path) -> None:
    for number in range(2):
        for kind, color in (("images", 90), ("masks", 255)):
            (tmp_path / kind).mkdir(exist_ok=True)
            canvas = Image.new("L", (40, 40))
            canvas.paste(color, (10, 10, 20, 20))
            canvas.convert("RGB" if kind == "images" else "L").save(tmp_path / kind / f"{number}.png")
    assert prepare("images", tmp_path, "--test_share", "0", "--folds", "2") == 0
    assert prepare("cell-crops", tmp_path, "--scale", "2", "--size", "16") == 0
    assert sizes(tmp_path / "crops.json") == (2, 0)
    with Image.open(tmp_path / "crops" / "masks" / "0_1.png") as mask:
        assert mask.getbbox() == (4, 4, 12, 12)
