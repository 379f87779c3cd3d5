"""A table has the columns of all rows, and is written where a case is one of those that it is for."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest

from bundle.results.result_tables import ResultTable, write_table

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
