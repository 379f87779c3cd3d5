"""Runs of an experiment that have a result are not repeated, and one that fails does not stop the others."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bundle.experiments.experiment_runs import read_result, run_all, skipped_cases, write_result


def test_only_runs_without_a_result_are_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folders = {number: tmp_path / f"run{number}" for number in range(3)}
    write_result({"value": 0}, folders[0])
    ran = []

    def run(number: int) -> dict[str, int]:
        ran.append(number)
        if number == 1:
            raise ValueError("wrong") from KeyError("root")
        result = {"value": number}
        write_result(result, folders[number])
        return result

    results, failed = run_all(folders, run, lambda result: f"value {result['value']}")
    assert ran == [1, 2]
    assert results == [{"value": 0}, {"value": 2}]
    assert failed == [{"run": "run1", "error": "KeyError: 'root'"}]
    assert "ValueError: wrong" in (folders[1] / "error.txt").read_text()
    assert "run 2/3 run1 failed: KeyError: 'root'" in caplog.text
    assert "run 3/3 run2: value 2, 0 s, about 0 s left" in caplog.text


def test_a_result_removes_the_error_of_an_earlier_try(tmp_path: Path) -> None:
    (tmp_path / "error.txt").touch()
    write_result({"failures": []}, tmp_path)
    assert read_result(tmp_path) == {"failures": []}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_the_message_about_a_skipped_case_is_listed_once() -> None:
    failures = [{"message": "b is empty"}, {"message": "a is empty"}]
    assert skipped_cases([{"failures": failures}, {"failures": failures[:1]}]) == ["a is empty", "b is empty"]
