"""The table of the levels has the columns of BIDS and the values of the label map."""

from __future__ import annotations

import csv
import os
from itertools import pairwise
from pathlib import Path

import pytest

from bundle.io.label_tables import read_label_table
from bundle.tasks.spine.discs.level_table import level_color, write_level_table
from bundle.tasks.spine.discs.levels import NUMBERINGS, Numbering, disc_value, level_number


@pytest.mark.parametrize("numbering", NUMBERINGS)
def test_every_value_of_a_numbering_has_a_name_and_a_color(tmp_path: Path, numbering: Numbering) -> None:
    file = tmp_path / "label-discs_dseg.tsv"
    write_level_table(file, numbering=numbering)
    with file.open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert list(rows[0]) == ["index", "name", "abbreviation", "color"]
    for row in rows:
        assert disc_value(level_number(row["abbreviation"]), numbering) == int(row["index"])
        assert row["name"].startswith(f"disc {row['abbreviation']}")
        assert len(row["color"]) == 7
    assert [int(row["index"]) for row in rows] == sorted(int(row["index"]) for row in rows)
    table = read_label_table(file)
    assert len(table) == len(rows)


def test_neighbors_have_different_colors() -> None:
    assert all(level_color(upper) != level_color(lower) for upper, lower in pairwise(range(1, 26)))


def test_a_table_that_is_right_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "label-discs_dseg.tsv"
    write_level_table(file)
    os.utime(file, (0, 0))
    write_level_table(file)
    assert file.stat().st_mtime == 0
    write_level_table(file, numbering="verse")
    assert file.stat().st_mtime > 0


def test_a_value_that_may_be_one_of_two_discs_names_both(tmp_path: Path) -> None:
    write_level_table(tmp_path / "t.tsv", numbering="verse")
    assert "\n124\tdisc L5-S1 or L5-L6\tL5-S1\t" in (tmp_path / "t.tsv").read_text()
