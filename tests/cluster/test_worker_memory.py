"""Workers that Dask's nanny starts reuse memory between windows, unless the user has set a threshold."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from bundle import ROOT
from bundle.cluster.worker_memory import TRIM_THRESHOLD, release_trim_threshold

FAULTS = """
import resource
import numpy as np
from bundle.cluster.worker_memory import release_trim_threshold
from bundle.inference.plan_run import reuse_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4_000_000, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert not reuse_memory()
first = faults()
assert release_trim_threshold()
assert reuse_memory()
faults()
print(first, faults())
"""


def test_the_threshold_of_dask_is_removed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv(TRIM_THRESHOLD, "65536")
    assert release_trim_threshold()
    assert TRIM_THRESHOLD not in os.environ
    assert "MALLOC_TRIM_THRESHOLD_=65536 of Dask's nanny is not used" in caplog.text
    caplog.clear()
    assert not release_trim_threshold()
    assert not caplog.text


def test_that_of_a_user_stays_and_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(TRIM_THRESHOLD, "131072")
    assert not release_trim_threshold()
    assert os.environ[TRIM_THRESHOLD] == "131072"
    assert "MALLOC_TRIM_THRESHOLD_=131072: memory is not reused between windows" in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_pages_are_kept_afterwards() -> None:
    environment = {**os.environ, TRIM_THRESHOLD: "65536", "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", FAULTS]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert after < before / 10


def test_dask_sets_this_value() -> None:
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    assert str(dask.config.get(f"distributed.nanny.pre-spawn-environ.{TRIM_THRESHOLD}")) == "65536"
