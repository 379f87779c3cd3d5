"""Runs on a cluster have the results of runs in this process; a failed one is recorded, that of another is left."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.claimed import kill
from helpers.dask_clusters import use_threads

from bundle.cluster import task_stream
from bundle.cluster.connection import ClusterOptions
from bundle.experiments import cluster_runs
from bundle.experiments.experiment_runs import run_all, write_result
from bundle.inference.claims import Claims

TWO = ClusterOptions(workers=2)


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads(monkeypatch)
    monkeypatch.setattr(cluster_runs, "WAIT", 0.05)


def folders(root: Path, count: int) -> dict[int, Path]:
    return {number: root / f"run{number}" for number in range(count)}


def run_of(root: Path) -> Any:
    """Return a run that writes where and how often it ran, and fails for the number 1."""

    def run(number: int) -> dict[str, Any]:
        if number == 1:
            raise ValueError("wrong") from KeyError("root")
        folder = root / f"run{number}"
        result = {"value": number, "cwd": str(Path.cwd()), "tries": len(list(folder.glob("*"))) + 1}
        write_result(result, folder)
        return result

    return run


def test_results_come_in_the_order_of_the_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    root = tmp_path / "out"
    write_result({"value": 2, "tries": 7}, root / "run2")
    results, failed = run_all(folders(root, 4), run_of(root), lambda result: f"value {result['value']}", cluster=TWO)
    assert [(result["value"], result["tries"]) for result in results] == [(0, 1), (2, 7), (3, 1)]
    assert failed == [{"run": "run1", "error": "KeyError: 'root'"}]
    assert results[0]["cwd"] == str(Path.cwd())
    assert "ValueError: wrong" in (root / "run1" / "error.txt").read_text()
    assert "run 4/4 run" in caplog.text
    assert not (root / ".claims").exists()


def test_a_run_of_another_process_is_waited_for(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claim = claims.take("run0")
    assert claim is not None

    def end() -> None:
        write_result({"value": "theirs"}, tmp_path / "run0")
        claim.release()

    threading.Timer(1, end).start()
    assert run_all(folders(tmp_path, 1), run_of(tmp_path), str, cluster=TWO) == ([{"value": "theirs"}], [])
    claims.close()


def test_a_run_that_ended_two_processes_has_failed(tmp_path: Path) -> None:
    for _ in range(2):
        claims = Claims(tmp_path)
        assert claims.take("run0") is not None
        kill(claims)
    results, ((failure),) = run_all(folders(tmp_path, 1), run_of(tmp_path), str, cluster=TWO)
    assert results == []
    assert failure["error"].startswith("ProcessDeathError: 2 processes ended")


def test_a_task_that_dask_gives_up_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: Any) -> None:
        raise RuntimeError("no worker takes it")

    monkeypatch.setattr(task_stream, "RETRIES", 0)
    monkeypatch.setattr(cluster_runs, "run_claimed", give_up)
    results, failed = run_all(folders(tmp_path, 1), run_of(tmp_path), str, cluster=TWO)
    assert (results, failed) == ([], [{"run": "run0", "error": "RuntimeError: no worker takes it"}])


def test_a_result_of_a_run_is_plain(tmp_path: Path) -> None:
    results, _ = run_all(folders(tmp_path, 1), run_of(tmp_path), str, cluster=ClusterOptions())
    assert json.loads((tmp_path / "run0" / "result.json").read_text()) == results[0]
