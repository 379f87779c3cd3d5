"""Summary and tables depend on the JSONs of the cases alone, in whatever order and by whomever they were written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.results import result_folder
from bundle.results.result_folder import Counts, read_results, write_summary
from bundle.results.result_tables import ResultTable
from bundle.utils.errors import FileError
from bundle.utils.write_json import write_json

TABLE = ResultTable("cases.csv", lambda case: [{"case": case["case"]}], list, lambda case: True)


def write(folder: Path, name: str, **more: Any) -> None:
    write_json(folder / f"{name}.json", {"case": name, **more})


def test_the_summary_is_that_of_one_object(tmp_path: Path) -> None:
    for name in ("c", "a_b", "a"):
        write(tmp_path, name, labels={"x": [1, None]}, text="line\nline")
    write(tmp_path, "d", error="E", message="bad")
    counts = write_summary(tmp_path, tables=[TABLE], more={"seconds": 1.5, "metrics": {"dice": float("nan")}})
    assert counts == Counts(3, 1)
    results = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("a", "a_b", "c", "d")]
    content = {"cases": results[:3], "failures": results[3:], "seconds": 1.5, "metrics": {"dice": None}}
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text) == content
    assert text.splitlines()[:4] == json.dumps(content, indent=2).splitlines()[:4]
    with open(tmp_path / "cases.csv", newline="") as stream:
        assert [row["case"] for row in csv.DictReader(stream)] == ["a", "a_b", "c", "d"]


def test_an_empty_folder_has_an_empty_summary(tmp_path: Path) -> None:
    assert write_summary(tmp_path) == Counts(0, 0)
    assert json.loads((tmp_path / "summary.json").read_text()) == {"cases": [], "failures": []}
    with pytest.raises(FileError, match="is not a folder; name the output_dir of an inference"):
        write_summary(tmp_path / "none")


def test_the_order_of_writing_and_a_second_summary_change_nothing(tmp_path: Path) -> None:
    names, found = ["b", "a", "c"], []
    for folder, order in (("one", names), ("two", names[::-1])):
        for name in order:
            write(tmp_path / folder, name, labels={})
        for _ in range(2):
            write_summary(tmp_path / folder, tables=[TABLE])
            found.append([(tmp_path / folder / file).read_bytes() for file in ("summary.json", "cases.csv")])
    assert found == [found[0]] * 4


def test_other_files_and_damaged_ones_are_no_results(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "a")
    write_json(tmp_path / "metrics.json", {"cases": []})
    write_json(tmp_path / "a_cam.json", {"case": "a"})
    write_json(tmp_path / "._a.json", {"case": "._a"})
    write_json(tmp_path / "list.json", [1])
    (tmp_path / "cut.json").write_text('{"case": "cu')
    assert [content["case"] for _, content in read_results(tmp_path)] == ["a"]
    assert "cut.json is skipped, it is not JSON" in caplog.text


def test_a_case_that_is_computed_again_meanwhile_is_missing(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path, name)
    found: Iterator[Any] = read_results(tmp_path)
    next(found)
    (tmp_path / "b.json").unlink()
    assert [content["case"] for _, content in found] == ["c"]


def test_a_case_that_is_removed_after_it_was_listed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a")
    monkeypatch.setattr(result_folder, "_json_files", lambda folder: ["a.json", "gone.json"])
    assert write_summary(tmp_path) == Counts(1, 0)


def test_results_that_come_in_meanwhile_are_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a")
    read, late = result_folder.read_results, list("bcdef")

    def read_slowly(folder: Path) -> Iterator[Any]:
        yield from read(folder)
        if late:
            write(folder, late.pop())

    monkeypatch.setattr(result_folder, "read_results", read_slowly)
    assert write_summary(tmp_path).completed == result_folder.ROUNDS
    late.clear()
    assert write_summary(tmp_path).completed == result_folder.ROUNDS + 1


def test_a_case_may_have_a_name_that_begins_with_a_dot(tmp_path: Path) -> None:
    write(tmp_path, ".scan")
    for name in ("._scan", ".partial_1_scan"):
        (tmp_path / f"{name}.json").write_bytes(b"\x00")
    assert write_summary(tmp_path) == Counts(1, 0)
