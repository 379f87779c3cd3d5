"""The options of an inference mean the same in all tasks: plan, progress, resuming; results are those of float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contracts import config as contract
from monai.bundle import create_workflow

VARYING = ("seconds", "plan", "completed_earlier")
"""Keys of a record that may differ between two runs."""

UNJUDGED = {".": {"plausible_distance": "null"}}
"""Options by which the result of a phantom is not refused."""


def infer(task: str, folder: Path, **options: Any) -> dict[str, Any]:
    """Run the inference of a task with its shipped weights and return the summary."""
    workflow = create_workflow(
        config_file=str(contract.CONFIGS / task / "inference.json"),
        workflow_type="infer",
        logging_file=False,
        **{"input": str(folder / "images"), "output_dir": str(folder / "out"), "device": "cpu"},
        **UNJUDGED.get(task, {}),
        **options,
    )
    workflow.run()
    workflow.finalize()
    return json.loads((folder / "out" / "summary.json").read_text())


@pytest.mark.parametrize("task", contract.TASKS)
def test_a_job_reports_its_progress_and_is_resumed_unless_an_option_changed(task: str, tmp_path: Path) -> None:
    contract.TASKS[task].write(tmp_path, 2)
    first = infer(task, tmp_path, plan="fp32", progress_json=str(tmp_path / "progress.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in lines} >= {"read", "write", "end"}
    assert (lines[-1]["cases_done"], lines[-1]["cases"]) == (2, 2)
    again = infer(task, tmp_path, plan="fp32", resume=True)
    assert [case["completed_earlier"] for case in again["cases"]] == [True, True]
    assert [_lasting(case) for case in again["cases"]] == [_lasting(case) for case in first["cases"]]
    other = infer(task, tmp_path, plan="bf16", resume=True)
    assert not [case for case in other["cases"] if "completed_earlier" in case]


def _lasting(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in VARYING}
