"""The options of an inference mean the same in all tasks: plan, progress, resuming; results are those of float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contracts import config as contract
from monai.bundle import create_workflow

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
    assert again["cases"] == first["cases"]
    other = infer(task, tmp_path, plan="bf16", resume=True)
    changed = [case["provenance"]["settings"] for case in other["cases"]]
    assert changed != [case["provenance"]["settings"] for case in first["cases"]]
