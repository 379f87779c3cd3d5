"""Two processes that resume in one folder share the work; a killed one loses and doubles nothing."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.jobs import CONFIG, start_job, wait_for, write_cases
from helpers.workflows import run_workflow, save_small_weights

from bundle.cohort.summarize import summarize


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_small_weights(tmp_path_factory.mktemp("weights"))


def computed(text: str) -> int:
    """Return how many cases a run has computed by its log."""
    found = re.search(r"(\d+) cases completed, (?:(\d+) of them earlier, )?\d+ skipped", text)
    assert found, text
    return int(found[1]) - int(found[2] or 0)


@pytest.mark.slow
def test_two_processes_share_the_cases_and_one_takes_over_those_of_a_killed_one(
    tmp_path: Path, checkpoint: str
) -> None:
    names = write_cases(tmp_path / "in", 24)
    (tmp_path / "in" / "case05.nii.gz").write_bytes(b"no volume")
    alone, out = tmp_path / "alone", tmp_path / "out"
    options = ("--resume", "true", "--plan", "fp32")
    with pytest.raises(SystemExit):
        run_workflow(
            "inference.json", input=str(tmp_path / "in"), output_dir=str(alone), checkpoint=checkpoint, plan="fp32"
        )
    jobs = [start_job(CONFIG, tmp_path / "in", out, checkpoint, *options) for _ in range(3)]
    wait_for(lambda: len(list(out.glob("case*.json"))) >= 4, jobs[0])
    jobs[0].send_signal(signal.SIGKILL)
    jobs[0].communicate()
    texts = [job.communicate(timeout=300)[0] for job in jobs[1:]]
    assert [job.returncode for job in jobs[1:]] == [2, 2], texts
    assert sum(map(computed, texts)) <= 23
    summary = json.loads((out / "summary.json").read_text())
    assert [case["case"] for case in summary["cases"]] == [name for name in names if name != "case05"]
    assert [case["case"] for case in summary["failures"]] == ["case05"]
    for case in summary["cases"]:
        ours, theirs = (nib.load(folder / f"{case['case']}_seg.nii.gz") for folder in (out, alone))
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))
    summarize(out)
    first = (out / "summary.json").read_bytes()
    summarize(out)
    assert (out / "summary.json").read_bytes() == first
    left = {path.name for path in out.iterdir() if not path.name.startswith(".partial_")}  # of the killed process
    assert left == {path.name for path in alone.iterdir()}
