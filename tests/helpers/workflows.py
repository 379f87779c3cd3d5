"""Running the configs, in this process or as a user does on the command line, at a size for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from helpers.phantoms import write_case
from monai.bundle import create_workflow

from bundle import ROOT
from bundle.networks import AttentionUNet

SMALL = {"network_def#channels": [4, 8], "roi_size": [16, 16, 16], "device": "cpu"}
"""Overrides under which a workflow takes seconds."""


def small_dataset(folder: Path, count: int = 5, size: int = 16) -> Path:
    """Write ``count`` labelled phantoms in ``images`` and ``labels`` and return the folder."""
    for index in range(count):
        write_case(folder, f"case{index}", (size, size, size), seed=index)
    return folder


def make_workflow(config: str | list[str], **overrides: Any) -> Any:
    """Create and initialize a workflow of the project at test size."""
    names = [config] if isinstance(config, str) else config
    files = [str(Path(ROOT, "configs", name)) for name in names]
    kind = "train" if Path(names[0]).name.startswith("train") else "infer"
    workflow = create_workflow(config_file=files, workflow_type=kind, logging_file=False, **{**SMALL, **overrides})
    return workflow


def run_workflow(config: str | list[str], **overrides: Any) -> Any:
    """Run a workflow of the project at test size; raises SystemExit when cases were skipped."""
    workflow = make_workflow(config, **overrides)
    workflow.run()
    workflow.finalize()
    return workflow


def command_line(*arguments: str, cwd: str | Path = ROOT, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run ``python -m ...`` as a user would; output and errors come back together in ``stdout``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *python, "-m", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def small_options() -> list[str]:
    """Return :data:`SMALL` as options of the command line."""
    return [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]


def save_small_weights(folder: Path) -> str:
    """Write weights of the small network that answer to intensities, so that label maps are not empty."""
    torch.manual_seed(5)
    network = AttentionUNet(3, 1, 3, channels=SMALL["network_def#channels"], spatial_size=SMALL["roi_size"])
    path = folder / "model.pt"
    torch.save(network.state_dict(), path)
    return str(path)
