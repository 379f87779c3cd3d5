"""Dask clusters for tests: threads of this process, or real processes on 127.0.0.1."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import distributed
import pytest

from bundle import ROOT

TESTS = str(Path(ROOT, "tests"))


def use_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clusters on this machine have threads of this process in place of worker processes."""
    threads = partial(distributed.LocalCluster, processes=False)
    monkeypatch.setattr(distributed, "LocalCluster", threads)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of workers, which find the package and the helpers of the tests."""
    paths = os.pathsep.join([ROOT, TESTS])
    return {**os.environ, **more, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}


@contextmanager
def processes(
    folder: Path, workers: int, *, preload: Sequence[str] = (), **config: str
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers of one thread without nannies; yield the address and the workers.

    The scheduler ends with the last worker, so that a test fails and does not wait for ever.

    Args:
        folder: folder for their files.
        workers: number of workers.
        preload: modules that workers import before they are known to the scheduler, as they give no signs of life then.
        config: configuration of Dask, as environment variables.
    """
    file = folder / "scheduler.json"
    base, quiet = [sys.executable, "-m"], subprocess.DEVNULL
    command = [*base, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    started = [subprocess.Popen([*command, "--scheduler-file", str(file)], env=environment(**config), stderr=quiet)]
    try:
        while not file.is_file():
            assert started[0].poll() is None
            time.sleep(0.1)
        worker = [*base, "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1"]
        worker += ["--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        worker += [word for name in preload for word in ("--preload", name)]
        started += [subprocess.Popen(worker, env=environment(**config), stderr=quiet) for _ in range(workers)]
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=180)
            address = client.scheduler.address
        threading.Thread(target=_end_with_workers, args=started, daemon=True).start()
        yield address, started[1:]
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()


def _end_with_workers(scheduler: subprocess.Popen[bytes], *workers: subprocess.Popen[bytes]) -> None:
    for worker in workers:
        worker.wait()
    scheduler.kill()
