"""A table has the columns of all rows, and is written where a case is one of those that it is for."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.results.class_rows import PREDICTIONS_TABLE
from bundle.results.image_rows import IMAGES, OBJECTS
from bundle.results.result_tables import ResultTable, write_table
from bundle.results.volume_rows import VOLUMES

TABLE = ResultTable(
    "numbers.csv",
    lambda case: [{"case": case["case"], "number": number, f"of {number}": 1.5} for number in case.get("numbers", [])],
    sorted,
    lambda case: "numbers" in case,
)


def test_the_columns_are_those_of_all_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bundle")
    cases = [{"case": "a", "numbers": [2, 1]}, {"case": "b", "error": "E"}, {"case": "c", "numbers": [3]}]
    write_table(TABLE, tmp_path / "new", cases)
    with open(tmp_path / "new" / "numbers.csv", newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["case", "number", "of 1", "of 2", "of 3"]
    assert rows == [["a", "2", "", "1.5", ""], ["a", "1", "1.5", "", ""], ["c", "3", "", "", "1.5"]]
    assert f"3 rows written to {tmp_path / 'new' / 'numbers.csv'}" in caplog.text


def test_there_is_no_table_of_other_cases(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path, [{"case": "b", "error": "E"}])
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    table = replace(TABLE, columns=lambda names: ["case", "number", *sorted(names)[2:]], second="number")
    path = tmp_path / "numbers.csv"
    write_table(table, tmp_path, [{"case": "a", "numbers": [2, 1]}])
    write_table(table, tmp_path, [])
    assert path.exists()
    write_table(table, tmp_path, [{"case": "a", "error": "E"}])
    assert not path.exists()
    path.write_text("case,image\na,a.png\n")
    write_table(table, tmp_path, [{"case": "a", "error": "E"}])
    assert path.read_text() == "case,image\na,a.png\n"


@pytest.mark.parametrize("table", [VOLUMES, IMAGES, OBJECTS, PREDICTIONS_TABLE], ids=lambda table: table.file)
def test_every_table_is_known_by_its_second_column(table: ResultTable, tmp_path: Path) -> None:
    area = {"area_share": 0.5, "box": None, "volume_mm3": 1.0}
    case = {"case": "a", "input": "a", "shape": [1, 1], "labels": {"x": area}, "objects": {"measured": [{"object": 1}]}}
    write_table(table, tmp_path, [{**case, "classes": {"x": {"probability": 0.5, "positive": True}}}])
    assert (tmp_path / table.file).read_text().startswith(f"case,{table.second},")
