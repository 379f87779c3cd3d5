"""Inference as a job: many small cases, and a process to send signals to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from helpers.phantoms import noise, write_nifti
from helpers.workflows import small_options

from bundle import ROOT

CONFIG = str(Path(ROOT, "configs", "inference.json"))


def write_cases(folder: Path, count: int) -> list[str]:
    """Write ``count`` small volumes, each another one; return their names."""
    names = [f"case{number:02d}" for number in range(count)]
    for number, name in enumerate(names):
        write_nifti(folder / f"{name}.nii.gz", noise((16, 16, 16), seed=number))
    return names


def start_job(config: str, source: Path, output: Path, checkpoint: str, *options: str) -> subprocess.Popen[str]:
    """Start a job as a user does, in a separate process; output and errors are returned together in ``stdout``."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--input", str(source)]
    command += ["--output_dir", str(output), "--checkpoint", checkpoint, *small_options(), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait until ``condition`` holds while ``process`` runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)
