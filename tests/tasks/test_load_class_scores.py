"""Probabilities of classes come from a table of any tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.io.input_checks import BadInputError
from bundle.tasks.classification import LoadClassScores


def load(table: Path, text: str, case: str = "a") -> list[float]:
    table.write_text(text)
    found = LoadClassScores(["x", "y"])({"case": case, "image": f"in/{case}.jpg", "prediction": str(table)})
    return found["pred"].tolist()


@pytest.mark.parametrize("name", ["image_id", "image", "isic_id", "case", "name"])
def test_an_image_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    assert load(tmp_path / "t.csv", f"{name},y,x\nb,0,0\na.jpg,0.25,0.5\n") == [0.5, 0.25]


def test_a_point_may_belong_to_the_name(tmp_path: Path) -> None:
    assert load(tmp_path / "t.csv", "image,x,y\nlesion.1,0.5,0\nlesion.2.JPG,0.25,1\n", "lesion.1") == [0.5, 0]
    assert load(tmp_path / "u.csv", "image,x,y\nlesion.1,0.5,0\nlesion.2.JPG,0.25,1\n", "lesion.2") == [0.25, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,x,y\na,0,0\na.png,1,0\n", "names the image a more than once; keep one of its rows"),
        ("image,x,y\nb,0,0\n", "has no row of the image a"),
        ("image,x\na,0\n", "has the columns image, x, not y"),
        ("x,y\n0,0\n", "not image_id"),
        ("", "has the columns"),
        ("image,x,y\na,1.5,0\n", "holds a value that is no probability"),
        ("image,x,y\na\n", "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        load(tmp_path / "t.csv", text)


def test_a_missing_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.csv: cannot be read as a table"):
        LoadClassScores(["x"])({"case": "a", "image": "a.jpg", "prediction": str(tmp_path / "none.csv")})
