"""Splits that a table names are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle import ROOT
from bundle.data import DatalistError
from bundle.data.image_folder import prepare_image_folder
from bundle.data.split_table import split_by_table

CASES = [{"image": f"images/{name}.jpg", "label": f"masks/{name}.png"} for name in ("a", "b", "c")]


def table(folder: Path, text: str) -> Path:
    (folder / "split.csv").write_text(text)
    return folder / "split.csv"


@pytest.mark.parametrize("column", ["image_id", "image", "isic_id"])
def test_every_image_is_in_the_part_that_the_table_names(column: str, tmp_path: Path) -> None:
    parts = split_by_table(CASES, table(tmp_path, f"{column},split\na,test\nb,training\nc,validation\nd,test\n"))
    assert parts == {"training": [CASES[1]], "validation": [CASES[2]], "test": [CASES[0]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,split\na,test\nb,test\n", "does not name the image c; add a row for it"),
        ("image,part\na,test\n", "lacks the column split"),
        ("name,split\na,test\n", "lacks the column image_id or image or isic_id"),
        ("", "lacks the column image_id"),
        ("image,split\na,test\na,training\n", "has rows of a with different splits; keep one of them"),
        ("image,split\na,held out\n", "a has the split 'held out'; it must be training, validation or test"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=rf"split\.csv: {message}"):
        split_by_table(CASES, table(tmp_path, text))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"split\.csv: cannot be read .*name the table with the split"):
        split_by_table(CASES, tmp_path / "split.csv")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("split", "folder"), [("isic2017_masks_split", "isic2017/segmentation"), ("segpc2021_split", "segpc2021")]
)
def test_the_committed_splits_are_the_official_ones(split: str, folder: str, shared_data: Path) -> None:
    content = prepare_image_folder(shared_data / folder, splits="split.csv")
    assert json.loads(Path(ROOT, "configs", "datasets", f"{split}.json").read_text(encoding="utf-8")) == content
