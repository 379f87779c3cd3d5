"""Tables of structures are read and checked, and give every value its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle.io.label_tables import (
    LabelTableError,
    class_labels,
    expand,
    others_are_background,
    read_label_table,
    value_map,
)


def test_ranges_and_single_values_are_spelled_out() -> None:
    assert expand({"cortex": ["3-5", 42, "9"], "stem": [16]}) == {"cortex": [3, 4, 5, 42, 9], "stem": [16]}
    assert expand({"stem": "7-8", "background": "others"}) == {"stem": [7, 8]}


def test_every_value_has_its_class() -> None:
    table = {"background": [7], "cortex": [3, 42], "stem": [16]}
    assert value_map(table) == {0: 0, 7: 0, 3: 1, 42: 1, 16: 2}
    assert value_map(table, {"stem": 1, "cortex": 5}) == {0: 0, 7: 0, 3: 5, 42: 5, 16: 1}
    assert value_map({"stem": [1], "background": [0, 2]}, {"background": 0, "stem": 3}) == {0: 0, 2: 0, 1: 3}


def test_values_without_name_are_background_only_where_the_table_allows_it() -> None:
    assert others_are_background({"a": [1], "background": "others"})
    assert not others_are_background({"a": [1], "background": [2]})
    assert value_map({"a": [4], "background": "others"}) == {0: 0, 4: 1}


def test_classes_are_numbered_in_the_order_of_the_table() -> None:
    assert class_labels({"b": [9], "background": "others", "a": [2]}) == {"0": "background", "1": "b", "2": "a"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "at least one structure"),
        ({"background": [1]}, "at least one structure"),
        ({"a": []}, "must lie from 1 to 65535"),
        ({"a": [0]}, "must lie from 1 to 65535"),
        ({"a": [65536]}, "must lie from 1 to 65535"),
        ({"a": [1], "b": ["1-2"]}, "the value 1 belongs to 'a' and to 'b'"),
        ({"a": [1], "background": [1]}, "the value 1 belongs to 'a' and to 'background'"),
        ({"a": [1.5]}, "'a' has the value 1.5; give whole numbers"),
        ({"a": [True]}, "give whole numbers"),
        ({"a": ["2-"]}, "give whole numbers"),
        ({"a": None}, "give whole numbers"),
        ({"a": "others"}, "give whole numbers"),
        ({"a": ["5-2"]}, "must lie from 1 to 65535"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(LabelTableError, match=words):
        expand(table)


def test_classes_of_other_names_are_refused() -> None:
    with pytest.raises(LabelTableError, match="names the structures a, the classes are b; give label_values and"):
        value_map({"a": [1]}, {"b": 1})


@pytest.mark.parametrize("content", [{"a": [1, "3-4"]}, {"labels": {}, "label_values": {"a": [1, "3-4"]}}])
def test_a_json_table_is_read(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(content))
    assert read_label_table(path) == {"a": [1, "3-4"]}


@pytest.mark.parametrize(("name", "mark", "column"), [("dseg.tsv", "\t", "index"), ("table.csv", ",", "value")])
def test_rows_of_one_name_become_one_structure(name: str, mark: str, column: str, tmp_path: Path) -> None:
    rows = [(column, "name", "color"), ("0", "nothing", ""), ("2", "white matter", "#fff"), ("41", "white matter", "")]
    path = tmp_path / name
    path.write_text("\n".join(mark.join(row) for row in [*rows, ("3", " cortex ", "")]) + "\n", encoding="utf-8-sig")
    assert read_label_table(path) == {"white matter": [2, 41], "cortex": [3]}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "[1]", "it has to be"),
        ("a.json", "{", "Expecting"),
        ("a.json", '{"a": [1], "b": [1]}', "belongs to 'a' and to 'b'"),
        ("a.tsv", "index\tname\nx\ty\n", "a row is"),
        ("a.csv", "index\tname\n1\ty\n", "a row is"),
        ("a.tsv", "index\tname\n1\t\n", "a row is"),
        ("a.tsv", "", "at least one structure"),
    ],
)
def test_a_file_of_another_form_is_an_error_that_names_it(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelTableError, match=f"{name}: is no table of structures .*{words}"):
        read_label_table(tmp_path / name)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelTableError, match="No such file"):
        read_label_table(tmp_path / "absent.tsv")
