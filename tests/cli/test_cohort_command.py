"""``cohort`` passes its options on, and ends with 2 when a case failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundle.cli.main import main
from bundle.cluster.connection import ClusterOptions
from bundle.cohort import cohort_run
from bundle.results.result_folder import Counts


@pytest.mark.parametrize("failed", [0, 1])
def test_options_are_passed_on(failed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def run(files: Any, output: Any, *, options: Any, cluster: Any) -> Counts:
        calls.append((files, output, options, cluster))
        return Counts(2, failed)

    monkeypatch.setattr(cohort_run, "run_cohort", run)
    words = [
        "cohort",
        "configs/inference.json",
        "--input",
        "in",
        "--output_dir",
        str(tmp_path / "out"),
        "--plan",
        "fp32",
    ]
    words += ["--scheduler", "tcp://a:1", "--resources", "GPU=1"]
    if failed:
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
    else:
        assert main(words) == 0
    cluster = ClusterOptions(scheduler="tcp://a:1", resources={"GPU": 1.0})
    assert calls == [(["configs/inference.json"], str(tmp_path / "out"), {"plan": "fp32", "input": "in"}, cluster)]


def test_two_clusters_are_a_mistake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["cohort", "configs/inference.json", "--input", "in", "--output_dir", str(tmp_path), "--workers", "2"]
    assert main([*words, "--scheduler", "tcp://a:1"]) == 2
    assert "are two clusters" in caplog.text
