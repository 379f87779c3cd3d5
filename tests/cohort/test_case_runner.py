"""A runner computes cases one by one with one network, and leaves those of other processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import write_cases
from helpers.workflows import SMALL

from bundle import ROOT
from bundle.cohort import case_runner
from bundle.cohort.case_runner import Request, compute_case
from bundle.data import list_cases
from bundle.inference.claims import CLAIMS, Claims

CONFIG = str(Path(ROOT, "configs", "inference.json"))
OPTIONS = {**SMALL, "plan": "fp32", "overlay": False, "plausible_distance": None, "find_regions": False}


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, Any]]:
    write_cases(tmp_path / "in", 3)
    (tmp_path / "in" / "case01.nii.gz").write_bytes(b"no volume")
    return list_cases(tmp_path / "in")


def test_cases_share_a_network_and_a_failure_is_recorded(
    cases: list, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, runner = [], case_runner.CaseRunner

    def make(*args: Any) -> Any:
        made.append(runner(*args))
        return made[-1]

    monkeypatch.setattr(case_runner, "CaseRunner", make)
    out = tmp_path / "out"
    request = Request((CONFIG,), {**OPTIONS, "checkpoint": weights, "output_dir": str(out)})
    assert [compute_case(request, case) for case in cases] == ["completed", "failed", "completed"]
    before = (out / "case00.json").stat().st_mtime_ns
    assert compute_case(request, cases[0]) == "completed"
    assert (out / "case00.json").stat().st_mtime_ns == before
    assert len(made) == 1
    assert json.loads((out / "case01.json").read_text())["error"] == "UnreadableFileError"
    assert not (out / "summary.json").exists()

    other = Request((CONFIG,), {**request.options, "output_dir": str(tmp_path / "other")})
    claims = Claims(tmp_path / "other")
    claim = claims.take("case00")
    assert claim is not None
    assert compute_case(other, cases[0]) == "taken"
    claim.release()
    assert compute_case(other, cases[0]) == "completed"
    assert len(made) == 2
    claims.close()
    assert not (out / CLAIMS).exists()
    case_runner.forget_runners(request.digest)
    assert (tmp_path / "other" / CLAIMS).exists()
    case_runner.forget_runners(other.digest)
    assert not (tmp_path / "other" / CLAIMS).exists()


def test_a_case_that_was_taken_over_meanwhile_is_that_of_the_other(
    cases: list, tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request((CONFIG,), {**OPTIONS, "checkpoint": weights, "output_dir": str(tmp_path / "out")})
    runner = case_runner.CaseRunner(request, cases[0])
    begin = runner.completed.begin

    def begin_and_lose(case: Any) -> Any:
        claim = begin(case)
        Path(f"{claim.path.with_suffix('')}.2").write_text("{}")
        return claim

    monkeypatch.setattr(runner.completed, "begin", begin_and_lose)
    monkeypatch.setattr(runner.completed, "claim_of", lambda case: None if case != "case00" else _first(runner))
    assert runner.compute(cases[0]) == "taken"
    assert list((tmp_path / "out").glob("*.json")) == []
    runner.completed.claims.close()


def _first(runner: Any) -> Any:
    claims = runner.completed.claims
    return case_runner_claim(claims.folder, "case00", claims.token)


def case_runner_claim(folder: Path, case: str, token: str) -> Any:
    from bundle.inference.claims import Claim

    return Claim(folder, case, token)
