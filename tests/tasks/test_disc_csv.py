"""Discs as CSV files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bundle.tasks.spine.discs import Disc, DiscFileError, read_disc_csv, write_disc_csv
from bundle.tasks.spine.discs.renumber import renumber_discs

AFFINE = np.array([[0.0, 0, 4, -30], [0, -1, 0, 50], [-0.5, 0, 0, 80], [0, 0, 0, 1]])
DISCS = [Disc(3, (2.25, -7.0625, 30.5), 0.9375), Disc(25, (-2.0, 4.0, -60.0))]


def test_a_csv_has_number_name_position_voxel_and_confidence(tmp_path: Path) -> None:
    write_disc_csv(DISCS, tmp_path / "a.csv", affine=AFFINE)
    with open(tmp_path / "a.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {
        "level_value": "3", "level_name": "C2-C3", "R_mm": "2.250", "A_mm": "-7.062", "S_mm": "30.500",
        "i": "99", "j": "57", "k": "8", "confidence": "0.9375",
    }  # fmt: skip
    assert (rows[1]["level_name"], rows[1]["i"], rows[1]["confidence"]) == ("L5-S1", "280", "")


def test_a_csv_is_read_back(tmp_path: Path) -> None:
    write_disc_csv(DISCS, tmp_path / "a.csv")
    first, second = read_disc_csv(tmp_path / "a.csv")
    assert (first.value, first.confidence) == (3, 0.9375)
    np.testing.assert_allclose(first.position, DISCS[0].position, atol=5e-4)
    assert second == DISCS[1]


def test_a_csv_of_few_columns_and_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufefflevel_value,R_mm,A_mm,S_mm\n4,1,2,3\n", encoding="utf-8")
    assert read_disc_csv(tmp_path / "a.csv") == [Disc(4, (1.0, 2.0, 3.0))]


@pytest.mark.parametrize("text", ["", "level_value;R_mm\n3;1\n"])
def test_a_csv_without_the_columns_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DiscFileError, match=r"a.csv: lacks the columns \[.*'S_mm'\], it has .*; add them"):
        read_disc_csv(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("3.5,,1,2,3", "invalid literal"),
        ("3,,1,2,x", "could not convert"),
        ("3,,1,2", "three finite numbers"),
        ("30,,1,2,3", "30 is not the number of a disc"),
        ("3,C3-C4,1,2,3", "number 3 is C2-C3, not C3-C4"),
        ("3,C3-C9,1,2,3", "'C3-C9' is not the name of a disc"),
    ],
)
def test_a_csv_line_that_is_not_a_disc_is_named(tmp_path: Path, line: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(f"level_value,level_name,R_mm,A_mm,S_mm\n2,,1,2,3\n{line}\n")
    with pytest.raises(DiscFileError, match=rf"a.csv: line 3 is not a disc \(.*{problem}.*\); correct the line"):
        read_disc_csv(tmp_path / "a.csv")


def test_a_csv_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiscFileError, match=r"none.csv: cannot be read"):
        read_disc_csv(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DiscFileError, match=r"a.csv: cannot be read"):
        read_disc_csv(tmp_path / "a.csv")


def test_the_values_have_the_numbering_and_are_read_by_the_names(tmp_path: Path) -> None:
    discs = [Disc(2, (1.0, 2.0, 9.0)), *DISCS]
    for numbering, values in (("totalspineseg", ["", "63", "100"]), ("sct_template", ["2", "3", "25"])):
        write_disc_csv(discs, tmp_path / "a.csv", numbering=numbering)
        with open(tmp_path / "a.csv", newline="") as stream:
            assert [row["level_value"] for row in csv.DictReader(stream)] == values
        assert [disc.value for disc in read_disc_csv(tmp_path / "a.csv")] == [2, 3, 25]


def test_voxel_and_mm_must_agree_where_the_image_is_known(tmp_path: Path) -> None:
    write_disc_csv(DISCS, tmp_path / "a.csv", affine=AFFINE)
    assert read_disc_csv(tmp_path / "a.csv", affine=AFFINE)[1] == DISCS[1]
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace(",280,", ",282,"))
    with pytest.raises(DiscFileError, match=r"line 3: L5-S1 is in voxel \[282, .*of voxel \[280, .*change the mm"):
        read_disc_csv(tmp_path / "a.csv", affine=AFFINE)
    (tmp_path / "a.csv").write_text(text.replace(",280,46,7,", ",,,,"))
    assert len(read_disc_csv(tmp_path / "a.csv", affine=AFFINE)) == 2


def test_a_voxel_may_have_decimals_of_a_spreadsheet_but_no_fraction(tmp_path: Path) -> None:
    write_disc_csv(DISCS, tmp_path / "a.csv", affine=AFFINE)
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace(",280,", ",280.0,"))
    assert read_disc_csv(tmp_path / "a.csv", affine=AFFINE)[1] == DISCS[1]
    for cell in ("280.5", "280x", "nan"):
        (tmp_path / "a.csv").write_text(text.replace(",280,", f",{cell},"))
        with pytest.raises(DiscFileError, match=f"line 3 is not a disc .i is '{cell}', not the index of a voxel"):
            read_disc_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_csv_of_a_spreadsheet_in_another_language_is_read_and_renumbered(tmp_path: Path, delimiter: str) -> None:
    """Cells are separated by semicolons or tabs, and decimals by commas."""
    file, discs = tmp_path / "a.csv", [Disc(3, (1.5, -2.25, 30.0), 0.5), Disc(4, (0.5, -3.0, 10.125), 0.75)]
    write_disc_csv(discs, file, affine=np.eye(4))
    file.write_text(file.read_text().replace(",", delimiter).replace(".", ","))
    assert read_disc_csv(file, affine=np.eye(4)) == discs
    renumber_discs(file, file, by=1)
    assert [disc.value for disc in read_disc_csv(file)] == [4, 5]
    assert file.read_text().splitlines()[1].split(delimiter)[2] == "1,500"
