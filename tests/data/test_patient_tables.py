"""Tables next to images name the patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data.patient_tables import tables_in, with_patients_of_tables

CASES = [{"image": f"images/{name}.jpg"} for name in ("a", "b", "c")]


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_tables_are_csv_and_tsv_files_of_the_folder(tmp_path: Path) -> None:
    for name in ("b.CSV", "a.tsv", "c.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "d.csv").mkdir()
    assert [file.name for file in tables_in(tmp_path)] == ["a.tsv", "b.CSV"]


@pytest.mark.parametrize(("ending", "mark"), [(".csv", ","), (".tsv", "\t")])
def test_images_get_their_patients(ending: str, mark: str, tmp_path: Path) -> None:
    table = write(
        tmp_path / f"table{ending}", mark.join(["image_id", "patient_id"]), f"a.jpg{mark}P1", f"b{mark}unknown"
    )
    found = with_patients_of_tables(CASES, [table])
    assert found == [{"patient": "P1", **CASES[0]}, CASES[1], CASES[2]]


def test_the_first_table_and_the_case_itself_count_the_most(tmp_path: Path) -> None:
    tables = [write(tmp_path / f"{name}.csv", "image,patient_id", f"a,{name}", f"b,{name}") for name in ("one", "two")]
    found = with_patients_of_tables([CASES[0], {**CASES[1], "patient": "own"}], tables)
    assert [case["patient"] for case in found] == ["one", "own"]


@pytest.mark.parametrize("rows", [[], ["image,age", "a,50"], ["name,patient_id", "a,P1"], ["image,patient_id", "a,"]])
def test_a_table_without_patients_says_nothing(rows: list[str], tmp_path: Path) -> None:
    assert with_patients_of_tables(CASES, [write(tmp_path / "table.csv", *rows)]) == CASES


def test_a_file_that_is_no_text_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00")
    assert with_patients_of_tables(CASES, [tmp_path / "table.csv"]) == CASES
