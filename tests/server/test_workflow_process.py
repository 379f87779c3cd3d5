from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from bundle.server import workflow_process as workflow
from bundle.server.workflow_process import WorkflowError, run_workflow

PYTHON = sys.executable

OUTPUT = (
    "",
    "2026-01-02 03:04:05,678 - INFO - > epochs: 1",
    "2026-01-02 03:04:05,678 INFO ignite.engine.engine.Trainer: Engine run starting",
    "2026-01-02 03:04:05,678 INFO bundle.training.progress: epoch 1/1: loss 0.5",
    "2026-01-02 03:04:05,678 ERROR bundle.inference.case_record: case a is skipped",
)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program instead of MONAI: it prints :data:`OUTPUT`, writes a summary and exits with a status."""

    def write(status: int) -> None:
        program = tmp_path / "program"
        summary = tmp_path / "run" / "summary.json"
        program.write_text(
            f"#!{PYTHON}\nimport sys\nopen({str(summary)!r}, 'w').write('{{\"failures\": []}}')\n"
            f"print({chr(10).join(OUTPUT)!r}, file=sys.stderr)\nsys.exit({status})\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(workflow.sys, "executable", str(program))

    return write


@pytest.mark.parametrize("status", [0, 2])
def test_a_run_returns_its_summary_if_cases_were_skipped(status: int, stand_in, tmp_path: Path) -> None:
    stand_in(status)
    assert run_workflow("train.json", {}, tmp_path / "run") == {"failures": []}


def test_overrides_are_passed_in_a_file(stand_in, tmp_path: Path) -> None:
    stand_in(0)
    run_workflow("train.json", {"datalist": "/a, (b)/1e3", "checkpoint": None}, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "arguments.json").read_text()) == {
        "config_file": "train.json",
        "datalist": "/a, (b)/1e3",
        "checkpoint": None,
        "output_dir": str(tmp_path / "run"),
    }


def test_the_output_of_a_run_is_logged_without_idle_lines(
    stand_in, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in(0)
    caplog.set_level(logging.INFO, "bundle.server.workflow_process")
    run_workflow("train.json", {}, tmp_path / "run")
    assert caplog.messages == [
        "bundle.training.progress: epoch 1/1: loss 0.5",
        "ERROR bundle.inference.case_record: case a is skipped",
    ]


def test_the_error_of_a_failed_run_contains_its_last_output(stand_in, tmp_path: Path) -> None:
    stand_in(1)
    with pytest.raises(WorkflowError, match=r"(?s)train\.json failed with status 1:.*case a is skipped$"):
        run_workflow("train.json", {}, tmp_path / "run")


def test_a_run_without_a_summary_has_failed(stand_in, tmp_path: Path) -> None:
    stand_in(0)
    run_workflow("train.json", {}, tmp_path / "run")
    program = tmp_path / "program"
    program.write_text(f"#!{PYTHON}\nprint('nothing to do')\n")
    with pytest.raises(WorkflowError, match=r"(?s)train\.json failed with status 0:\nnothing to do$"):
        run_workflow("train.json", {}, tmp_path / "run")
