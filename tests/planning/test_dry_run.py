"""A dry run asks the device for its memory and its precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.planning import dry_run


def test_a_gpu_is_asked_for_its_memory_and_takes_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: 7)
    assert dry_run._peak_bytes("cuda") == 7
    assert dry_run._prefers_bfloat16(None, "cuda")


def test_a_machine_that_is_busy_with_other_jobs_is_named(caplog: pytest.LogCaptureFixture) -> None:
    dry_run.warn_of_other_jobs({"step_seconds": 2.0, "step_cpu_seconds": 1.9})
    dry_run.warn_of_other_jobs({"step_seconds": 2.0, "step_cpu_seconds": 7.0})
    assert not caplog.text
    dry_run.warn_of_other_jobs({"step_seconds": 2.0, "step_cpu_seconds": 0.5})
    assert "a step had 25 % of a core, and took 2.00 s for 0.50 s of CPU time" in caplog.text


def test_the_cause_of_a_failure_is_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("failed to instantiate") from ValueError("2 channels; 1 is expected")

    monkeypatch.setattr(dry_run, "run_steps", fail)
    (tmp_path / "request.json").write_text(json.dumps({"answer": str(tmp_path / "answer.json")}))
    dry_run.main([str(tmp_path / "request.json")])
    assert json.loads((tmp_path / "answer.json").read_text()) == {"error": "2 channels; 1 is expected"}
