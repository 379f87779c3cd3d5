"""The ISIC challenges are listed with their official split or the sizes of the papers, without what is no image."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError, load_datalist, select_classified
from bundle.data.datalist_file import write_datalist
from bundle.data.isic import ISIC2017_CLASSES, prepare_isic2017, prepare_isic2018

COUNTS = {"Training": 40, "Validation": 3, "Test_v2": 6}


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.fixture
def isic2017(tmp_path: Path) -> Path:
    """The folders of the challenge, one of them in a folder of its own name, as unpacking may make it."""
    number = 0
    for part, count in COUNTS.items():
        images = tmp_path / f"ISIC-2017_{part}_Data"
        if part == "Validation":
            images /= images.name
        rows = ["image_id,melanoma,seborrheic_keratosis"]
        for _ in range(count):
            name = f"ISIC_{number:07}"
            touch(images / f"{name}.jpg", images / f"{name}_superpixels.png")
            touch(tmp_path / f"ISIC-2017_{part}_Part1_GroundTruth" / f"{name}_segmentation.png")
            rows.append(f"{name},{float(number % 4 == 0)},{float(number % 4 == 1)}")
            number += 1
        touch(images / f"ISIC-2017_{part}_Data_metadata.csv")
        (tmp_path / f"ISIC-2017_{part}_Part3_GroundTruth.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def isic2018(tmp_path: Path) -> Path:
    for part, numbers in (("Training", range(50)), ("Validation", range(50, 53)), ("Test", range(53, 60))):
        for number in numbers:
            touch(tmp_path / f"ISIC2018_Task1-2_{part}_Input" / f"ISIC_{number:07}.jpg")
            touch(tmp_path / f"ISIC2018_Task1_{part}_GroundTruth" / f"ISIC_{number:07}_segmentation.png")
        touch(tmp_path / f"ISIC2018_Task1-2_{part}_Input" / "LICENSE.txt")
    return tmp_path


def sizes(content: dict) -> tuple[int, int, int]:
    folds = [item["fold"] for item in content["training"]]
    return folds.count(1), folds.count(0), len(content["test"])


def test_the_official_split_is_that_of_the_folders(isic2017: Path) -> None:
    content = prepare_isic2017(isic2017)
    assert sizes(content) == (40, 3, 6)
    assert content["test"][0] == {
        "image": "ISIC-2017_Test_v2_Data/ISIC_0000043.jpg",
        "label": "ISIC-2017_Test_v2_Part1_GroundTruth/ISIC_0000043_segmentation.png",
    }
    assert all("Validation" in item["image"] for item in content["training"] if item["fold"] == 0)
    write_datalist(content, isic2017 / "dataset.json")
    assert len(load_datalist(isic2017)["training"]) == 43


def test_the_split_of_the_papers_has_their_shares(isic2017: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = prepare_isic2017(isic2017, split="paper")
    assert sizes(content) == (25, 3, 12)
    assert "there are 40 images, not 2000" in caplog.text
    assert content == prepare_isic2017(isic2017, split="paper")
    assert content["test"] != prepare_isic2017(isic2017, split="paper", seed=1)["test"]
    every = content["training"] + content["test"]
    assert len({item["image"] for item in every}) == 40
    assert all("_Training_" in item["image"] for item in every)


def test_classification_has_both_classes(isic2017: Path) -> None:
    content = prepare_isic2017(isic2017, task="classification")
    assert sizes(content) == (40, 3, 6)
    assert content["test"][1] == {
        "image": "ISIC-2017_Test_v2_Data/ISIC_0000044.jpg",
        "classes": {"melanoma": 1, "seborrheic_keratosis": 0},
    }
    write_datalist(content, isic2017 / "dataset.json")
    cases = select_classified(isic2017, "validation", classes=ISIC2017_CLASSES)
    assert [case["case"] for case in cases] == ["ISIC_0000040", "ISIC_0000041", "ISIC_0000042"]


def test_isic2018_is_listed_likewise(isic2018: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert sizes(prepare_isic2018(isic2018)) == (50, 3, 7)
    assert sizes(prepare_isic2018(isic2018, split="paper")) == (35, 5, 10)
    assert "not 2594" in caplog.text


def test_missing_parts_are_logged(isic2018: Path, caplog: pytest.LogCaptureFixture) -> None:
    (isic2018 / "ISIC2018_Task1_Validation_GroundTruth").rename(isic2018 / "elsewhere")
    content = prepare_isic2018(isic2018)
    assert len(content["training"]) == 50
    assert "fold" not in content["training"][0]
    assert "the validation part of the challenge, or its ground truth, is missing" in caplog.text


def test_what_cannot_be_used_is_refused(isic2017: Path, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="split must be one of official, paper, got 'mine'"):
        prepare_isic2017(isic2017, split="mine")
    with pytest.raises(DatalistError, match="task must be one of"):
        prepare_isic2017(isic2017, task="detection")
    with pytest.raises(DatalistError, match="is not a folder"):
        prepare_isic2018(tmp_path / "absent")
    with pytest.raises(DatalistError, match="holds no training images with their ground truth"):
        prepare_isic2018(isic2017)
    (isic2017 / "ISIC-2017_Training_Part3_GroundTruth.csv").unlink()
    with pytest.raises(DatalistError, match="holds no training images"):
        prepare_isic2017(isic2017, task="classification")
    (isic2017 / "ISIC-2017_Training_Part1_GroundTruth" / "ISIC_0000007_segmentation.png").unlink()
    with pytest.raises(DatalistError, match=r"no label for 1 images: ISIC_0000007\.jpg"):
        prepare_isic2017(isic2017)
