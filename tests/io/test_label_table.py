"""The table of a label map is a dseg.tsv of BIDS."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bundle.io.label_table import write_label_table


def test_rows_are_values_and_names_with_the_background(tmp_path: Path) -> None:
    write_label_table(tmp_path / "a_dseg.tsv", {"left_anterior": 11, "right hippocampus, tail": 22})
    with open(tmp_path / "a_dseg.tsv", newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))
    assert rows == [["index", "name"], ["0", "background"], ["11", "left_anterior"], ["22", "right hippocampus, tail"]]


def test_an_earlier_table_is_replaced_completely(tmp_path: Path) -> None:
    for names in ({"a": 1, "b": 2}, {"a": 1}):
        write_label_table(str(tmp_path / "a_dseg.tsv"), names)
    assert (tmp_path / "a_dseg.tsv").read_bytes() == b"index\tname\n0\tbackground\n1\ta\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a_dseg.tsv"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_label_table(tmp_path / "none" / "a_dseg.tsv", {"a": 1})
