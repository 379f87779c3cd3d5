"""Splits that a table names are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError
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
        ("image,split\na,held out\n", "a has the split 'held out'; it must be training, validation or test"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=rf"split\.csv: {message}"):
        split_by_table(CASES, table(tmp_path, text))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"split\.csv: cannot be read .*name the table with the split"):
        split_by_table(CASES, tmp_path / "split.csv")
