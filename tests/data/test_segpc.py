"""The cells of SegPC-2021 are put together to one mask an image, and its parts become folds and test."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.data import DatalistError, load_datalist
from bundle.data.datalist_file import write_datalist
from bundle.data.segpc import prepare_segpc2021


def cell(row: int, column: int, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    values = np.zeros(shape, np.uint8)
    values[row : row + 8, column : column + 8] = 20
    values[row + 2 : row + 6, column + 2 : column + 6] = 40
    return values


@pytest.fixture
def segpc(tmp_path: Path) -> Path:
    for part, count in (("train", 4), ("validation", 2)):
        for kind in "xy":
            (tmp_path / "data" / part / kind).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (32, 24)).save(tmp_path / "data" / part / "x" / f"{number}.bmp")
            for index, (row, column) in enumerate(((2, 2), (6, 6), (14, 20)), start=1):
                Image.fromarray(cell(row, column)).save(tmp_path / "data" / part / "y" / f"{number}_{index}.bmp")
    return tmp_path


@pytest.mark.parametrize(("target", "levels"), [("cell", (255, 255)), ("parts", (128, 255))])
def test_a_mask_holds_all_cells_and_a_nucleus_covers_a_cytoplasm(
    target: str, levels: tuple[int, int], segpc: Path
) -> None:
    content = prepare_segpc2021(segpc, target=target, folds=2)
    with Image.open(segpc / content["test"][0]["label"]) as mask:
        found = np.asarray(mask)
    highest = np.max([cell(*place) for place in ((2, 2), (6, 6), (14, 20))], axis=0)
    np.testing.assert_array_equal(found, np.select([highest >= 40, highest >= 20], levels[::-1]))


def test_training_is_assigned_to_folds_and_validation_is_the_test(segpc: Path) -> None:
    content = prepare_segpc2021(segpc, folds=2)
    assert sorted(item["fold"] for item in content["training"]) == [0, 0, 1, 1]
    assert content["test"] == [
        {"image": f"data/validation/x/{number}.bmp", "label": f"masks/validation/{number}.png"} for number in range(2)
    ]
    write_datalist(content, segpc / "dataset.json")
    assert len(load_datalist(segpc)["test"]) == 2
    assert prepare_segpc2021(segpc, folds=2) == content


def test_masks_can_lie_elsewhere(segpc: Path) -> None:
    content = prepare_segpc2021(segpc / "data", masks_dir=segpc / "written", folds=2)
    assert content["test"][0]["label"] == "../written/validation/0.png"
    assert (segpc / "written" / "train" / "3.png").is_file()


def test_an_image_without_cells_is_skipped_and_logged(segpc: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (32, 24)).save(segpc / "data" / "train" / "x" / "9.bmp")
    assert len(prepare_segpc2021(segpc, folds=2)["training"]) == 4
    assert "9.bmp: skipped" in caplog.text


def test_what_cannot_be_used_is_refused(segpc: Path) -> None:
    with pytest.raises(DatalistError, match="target must be one of cell, parts"):
        prepare_segpc2021(segpc, target="nucleus")
    with pytest.raises(DatalistError, match="holds no train/x and train/y"):
        prepare_segpc2021(segpc / "absent")


@pytest.mark.parametrize(
    ("broken", "content", "error", "message"),
    [
        (
            "y/1_2.bmp",
            (24, 30),
            "GridMismatchError",
            r"1_2\.bmp: has the size \(24, 30\), its image .*1\.bmp \(24, 32\)",
        ),
        ("y/1_2.bmp", b"no image", "UnreadableFileError", r"1_2\.bmp: cannot be read as an image"),
        ("x/1.bmp", b"no image", "UnreadableFileError", r"x/1\.bmp: cannot be read as an image"),
        ("y/1_2.bmp", b"", "UnreadableFileError", r"1_2\.bmp: is empty"),
    ],
)
def test_an_image_with_a_file_that_cannot_be_used_is_skipped_by_name(
    broken: str, content: bytes | tuple[int, int], error: str, message: str, segpc: Path
) -> None:
    file = segpc / "data" / "train" / broken
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        Image.fromarray(cell(2, 2, content)).save(file)
    datalist = prepare_segpc2021(segpc, folds=2)
    assert [Path(case["image"]).stem for case in datalist["training"]] == ["0", "2", "3"]
    assert not (segpc / "masks" / "train" / "1.png").exists()
    (skipped,) = datalist["skipped"]
    assert (skipped["case"], skipped["error"]) == ("1", error)
    assert re.search(message, skipped["message"])


def test_without_an_image_that_can_be_used_there_is_no_datalist(segpc: Path) -> None:
    for file in (segpc / "data" / "train" / "x").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(
        DatalistError, match=r"no training image can be used; the first failure: .*0\.bmp: cannot be read"
    ):
        prepare_segpc2021(segpc)
