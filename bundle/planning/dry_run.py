"""A measured dry run of a plan in a process of its own: a few steps, one validation case, and the peak memory."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.experiments.config_runner import execute
from bundle.experiments.experiment_configs import root_cause
from bundle.utils.write_json import write_json

from .choices import PlanError

logger = logging.getLogger(__name__)

STEPS = 5
"""Steps that are run; the first is not counted."""

BUSY = 0.75
"""Share of a core below which a step is taken to have waited for other jobs."""

SMALL = 16
"""Side down to which the patch is halved for the comparison of precisions, which needs no complete one."""

FAILED = "error"
"""Key of the answer of a run that failed; its value is the message of the cause."""

SCRIPT = "import sys; from bundle.planning.dry_run import main; main(sys.argv[1:])"

Measured = dict[str, float]


def measure(overlay: Mapping[str, Any], training: Sequence[Any], validation: Sequence[Any], device: str) -> Measured:
    """Run a few steps of a training in another process, so that its peak memory is known.

    Args:
        overlay: the plan.
        training: cases to train on.
        validation: one case to validate on, the largest.
        device: device of the training.

    Returns:
        The answer of :func:`run_steps`.

    Raises:
        PlanError: when the run fails, with its cause.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan, request, answer = (Path(folder, name) for name in ("plan.json", "request.json", "answer.json"))
        write_json(plan, overlay)
        content = {
            "files": [str(Path(ROOT, "configs", "train.json")), str(plan)],
            "training": list(training),
            "validation": list(validation),
            "device": device,
            "output_dir": str(Path(folder, "run")),
            "answer": str(answer),
        }
        write_json(request, content)
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(request)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not answer.is_file():
            last = (run.stderr.strip() or run.stdout.strip() or "killed, as when memory runs out").splitlines()[-1]
            raise PlanError(f"the dry run of the plan failed: {last}; pass --memory with less, or check the dataset.")
        found = json.loads(answer.read_text(encoding="utf-8"))
        if FAILED in found:
            raise PlanError(f"the dry run of the plan failed: {found[FAILED]}")
        measured: Measured = found
        if not device.startswith("cuda"):
            warn_of_other_jobs(measured)
        return measured


def warn_of_other_jobs(measured: Mapping[str, float]) -> None:
    """Log that the steps had to wait for a core: the hours hold only while the machine is as busy."""
    share = measured["step_cpu_seconds"] / measured["step_seconds"]
    if share < BUSY:
        logger.warning(
            "other jobs use this machine: a step had %.0f %% of a core, and took %.2f s for %.2f s of CPU time; the "
            "hours are those of a machine that stays as busy: stop the other jobs and plan again",
            *(100 * share, measured["step_seconds"], measured["step_cpu_seconds"]),
        )


def run_steps(request: Mapping[str, Any]) -> Measured:
    """Run the steps of a request in this process.

    Returns:
        ``step_seconds`` and ``step_cpu_seconds``, the medians; ``validation_seconds``, ``validation_cpu_seconds`` and
        ``load_seconds`` per case; ``peak_gb`` of the process, or of the GPU; ``cached_gb``; ``amp``, 1 where bfloat16
        is the faster precision.
    """
    started = time.perf_counter()
    parser = ConfigParser(ConfigParser.load_config_files(request["files"]))
    values = {"epochs": 1, "val_interval": 1, "iterations_per_epoch": STEPS, "cache_gb": None, "resume": False}
    for name, value in {**values, "output_dir": request["output_dir"], "rank": 0}.items():
        parser[name] = value
    parser["device"] = f"$torch.device('{request['device']}')"
    parser["train#dataset#data"], parser["validate#dataset#data"] = request["training"], request["validation"]
    execute(parser, "initialize")
    parser["amp"] = _prefers_bfloat16(ConfigParser(dict(parser.get())), request["device"])
    trainer, evaluator = (parser.get_parsed_content(name) for name in ("train#trainer", "validate#evaluator"))
    loaded = time.perf_counter()
    steps: list[tuple[float, float]] = []
    validations: list[tuple[float, float]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: steps.append(_clocks()))
    for event in (Events.STARTED, Events.COMPLETED):
        evaluator.add_event_handler(event, lambda _: validations.append(_clocks()))
    execute(parser, "run")
    gaps = [_between(start, end) for start, end in pairwise(steps)]
    wall, cpu = _between(validations[0], validations[-1])
    cached = [parser.get_parsed_content(f"{part}#dataset").cached_bytes for part in ("train", "validate")]
    cases = len(request["training"]) + len(request["validation"])
    return {
        "step_seconds": median(wall for wall, _ in gaps),
        "step_cpu_seconds": median(cpu for _, cpu in gaps),
        "validation_seconds": wall / len(request["validation"]),
        "validation_cpu_seconds": cpu / len(request["validation"]),
        "load_seconds": (loaded - started) / cases,
        "peak_gb": _peak_bytes(request["device"]) / 1024**3,
        "cached_gb": sum(cached) / 1024**3,
        "amp": int(parser["amp"]),
    }


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _between(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return end[0] - start[0], end[1] - start[1]


def _prefers_bfloat16(parser: ConfigParser, device: str) -> bool:
    """Return whether a step in bfloat16 takes less time than one in float32; not every CPU computes in bfloat16."""
    if device.startswith("cuda"):
        return True
    network = parser.get_parsed_content("network_def")
    sides = [max(side // 2, min(side, SMALL)) for side in parser.get_parsed_content("roi_size")]
    patch = torch.rand(1, parser.get_parsed_content("network_def#in_channels"), *sides)
    seconds = []
    for enabled in (False, True, False, True):
        started = time.process_time()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=enabled):
            found = network(patch)
        (found[0] if isinstance(found, list) else found).float().sum().backward()
        seconds.append(time.process_time() - started)
    return min(seconds[1::2]) < min(seconds[::2])


def _peak_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(arguments: Sequence[str]) -> None:
    """Run a request and write its answer, or why there is none."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    try:
        answer: dict[str, Any] = dict(run_steps(request))
    except Exception as error:
        answer = {FAILED: str(root_cause(error))}
    write_json(request["answer"], answer)
