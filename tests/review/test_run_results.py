"""A finished run is read from its folder, the most suspicious case first."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from helpers.finished_run import write_run

from bundle.review.run_figures import run_figures
from bundle.review.run_results import CaseResult, read_run
from bundle.utils.errors import FileError


def test_failed_and_flagged_cases_come_first(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "out", volumes=False))
    assert [case.name for case in run.cases] == ["zfailed", "case002", "case000", "case001"]
    assert [case.state for case in run.cases] == ["failed", "flagged", "ok", "ok"]
    assert [case.suspicion for case in run.cases] == [math.inf, 9.0, 0.1, 0.1]
    assert run.cases[0].problems == ["BadInputError: it is bad"]
    assert run.cases[1].problems == ["front: margin 0.5 is low, <b>very</b>"]
    assert run.cases[0].numbers() == {}
    assert run.cases[1].figure == tmp_path / "out" / "case002_overlay.png"


def test_numbers_and_metrics_are_those_of_structures(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "out", volumes=False, scored=True))
    case = next(case for case in run.cases if case.name == "case001")
    assert case.numbers() == {
        "front predicted dice": 0.88,
        "front dice": 0.81,
        "front reference_mm3": 99.1,
        "front volume_mm3": 101.0,
        "front margin": 0.9001,
        "back dice": 0.81,
        "back reference_mm3": 99.1,
        "back volume_mm3": 101.0,
        "back margin": 0.9001,
    }
    assert list(run.statistics) == ["front", "back"]
    assert run.statistics["front"]["dice"]["mean"] == 0.82


def test_an_evaluation_without_json_of_cases_has_its_metrics(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "out", volumes=False, scored=True))
    for path in run.folder.glob("case*.json"):
        path.unlink()
    (run.folder / "summary.json").unlink()
    found = read_run(run.folder)
    assert [case.name for case in found.cases] == ["case000", "case001", "case002"]
    assert found.cases[0].numbers()["front dice"] == 0.8


def test_rows_of_another_kind_are_not_metrics_of_structures(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", volumes=False)
    (folder / "metrics.csv").write_text("case,group,level,distance\ncase000,a,3,1.5\n")
    assert "distance" not in str(read_run(folder).cases[-1].numbers())


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        ({"per_image": {"lesion": {"dice": {"mean": 1, "low": 0, "high": 1}}}, "threshold": 0.5}, ["per_image lesion"]),
        ({"identified": {"value": 1, "low": 0, "high": 1}, "cases": []}, ["all"]),
        ({"summary": {"lesion": {"dice": 0.5}}}, []),
    ],
)
def test_statistics_of_every_task_are_found(content: dict, titles: list[str], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", volumes=False)
    (folder / "metrics.json").write_text(json.dumps(content))
    assert list(read_run(folder).statistics) == titles


def test_words_in_a_table_of_metrics_are_no_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out", volumes=False)
    (folder / "metrics.csv").write_text("case,structure,dice,reader\ncase000,front,0.8,anna\n")
    run = read_run(folder)
    case = next(case for case in run.cases if case.name == "case000")
    assert case.metrics == {"front": {"dice": 0.8}}
    assert not any("reference" in svg for svg in run_figures(run))


def test_an_uncertain_numbering_is_a_flag() -> None:
    assert CaseResult("a", {"case": "a", "numbering": "uncertain"}).state == "flagged"
    assert CaseResult("a", {"case": "a", "numbering": "certain"}).state == "ok"


def test_suspicious_sides_alone_count() -> None:
    record = {"case": "a", "z_scores": {"x": {"margin": 30.0, "entropy": -30.0, "volume_mm3": -2.0, "count": -3.0}}}
    assert CaseResult("a", record).suspicion == 3.0
    assert CaseResult("a", {"case": "a"}).suspicion == 0


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is not a folder"):
        read_run(tmp_path / "none")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(FileError, match="has no results; name the output_dir"):
        read_run(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(FileError, match=r"bad\.json: is not JSON"):
        read_run(tmp_path)


def test_a_figure_that_the_run_did_not_write_is_not_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out")
    record = json.loads((folder / "case000.json").read_text())
    (folder / "case000.json").write_text(json.dumps({**record, "files": {"case000_seg.nii.gz": "0" * 64}}))
    written = {**json.loads((folder / "case001.json").read_text()), "files": {"case001_overlay.png": "0" * 64}}
    (folder / "case001.json").write_text(json.dumps(written))
    (folder / "zfailed_overlay.png").write_bytes(b"of an earlier run")
    shown = {case.name: case.figure for case in read_run(folder).cases}
    assert shown["zfailed"] is None
    assert shown["case000"] is None
    assert shown["case001"] == folder / "case001_overlay.png"


def test_another_result_has_another_digest() -> None:
    first = CaseResult("a", {"case": "a", "files": {"a_seg.nii.gz": "1"}, "seconds": 1.0})
    same = CaseResult("a", {"case": "a", "files": {"a_seg.nii.gz": "1"}, "seconds": 2.0})
    other = CaseResult("a", {"case": "a", "files": {"a_seg.nii.gz": "2"}})
    failed = CaseResult("a", {"case": "a", "error": "BadInputError"})
    assert first.digest == same.digest
    assert len({first.digest, other.digest, failed.digest}) == 3
