"""Tables of an experiment in Markdown and CSV."""

from __future__ import annotations

import json
import math
from pathlib import Path

from bundle.experiments.experiment_tables import (
    join_sections,
    list_missing,
    list_versions,
    markdown_table,
    write_report,
)


def test_a_table_has_a_line_under_its_head_and_needs_rows() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
    assert markdown_table(["a", "b"], []) == ""


def test_failed_runs_and_skipped_cases_are_listed() -> None:
    content = {"failed": [{"run": "fold0", "error": "ValueError: no"}], "skipped": ["a.nii: is empty"]}
    assert list_missing(content).splitlines()[2:] == [
        "- fold0 failed: ValueError: no",
        "- a case was skipped: a.nii: is empty",
    ]
    assert list_missing({"failed": [], "skipped": []}) == ""


def test_empty_sections_leave_no_gap() -> None:
    assert join_sections(["a", "", list_versions({"torch": "2", "numpy": "1"})]) == "a\n\nVersions: torch 2, numpy 1.\n"


def test_a_report_is_three_files(tmp_path: Path) -> None:
    write_report(tmp_path, "x", content={"a": math.nan}, page="page", rows=[{"case": "a"}, {"case": "b", "dice": 1}])
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None}
    assert (tmp_path / "x.md").read_text() == "page"
    assert (tmp_path / "x.csv").read_text().splitlines() == ["case,dice", "a,", "b,1"]
