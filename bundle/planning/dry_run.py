"""A measured dry run of a plan in a process of its own: a few steps, one validation case, and the peak memory.

``python -m bundle.planning.dry_run REQUEST.json`` writes its measurements into the file that the request names.
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle import ROOT
from bundle.utils.write_json import write_json

from .choices import PlanError

STEPS = 5
"""Steps that are run; the first is not counted."""

logger = logging.getLogger(__name__)


def measure(
    overlay: Mapping[str, Any], training: Sequence[Any], validation: Sequence[Any], device: str
) -> dict[str, float]:
    """Run a few steps of a training in another process.

    Args:
        overlay: the plan.
        training: cases to train on.
        validation: one case to validate on, the largest.
        device: device of the training.

    Returns:
        ``step_seconds``; ``validation_seconds`` per case; ``load_seconds`` per case; ``start_seconds``; ``peak_gb``, of the
        process, or of the GPU; ``cached_gb``.

    Raises:
        PlanError: when the run fails, with the last line of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan, request, answer = (Path(folder, name) for name in ("plan.json", "request.json", "answer.json"))
        write_json(plan, overlay)
        write_json(
            request,
            {
                "files": [str(Path(ROOT, "configs", "train.json")), str(plan)],
                "training": list(training),
                "validation": list(validation),
                "device": device,
                "output_dir": str(Path(folder, "run")),
                "answer": str(answer),
            },
        )
        started = time.monotonic()
        command = [sys.executable, "-W", "ignore", "-m", "bundle.planning.dry_run", str(request)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not answer.is_file():
            last = (run.stderr.strip() or run.stdout.strip() or "killed, as when memory runs out").splitlines()[-1]
            raise PlanError(f"the dry run of the plan failed: {last}; pass --memory with less, or check the dataset.")
        found: dict[str, float] = json.loads(answer.read_text(encoding="utf-8"))
        return {**found, "seconds": round(time.monotonic() - started, 2)}


def run_steps(request: Mapping[str, Any]) -> dict[str, float]:
    """Run the steps of a request in this process, and return the measurements."""
    import torch
    from ignite.engine import Events
    from monai.bundle import ConfigParser

    from bundle.experiments.config_runner import execute

    started = time.perf_counter()
    config = ConfigParser.load_config_files(request["files"])
    parser = ConfigParser(config)
    values = {"epochs": 1, "val_interval": 1, "iterations_per_epoch": STEPS, "cache_gb": None, "resume": False}
    for name, value in {**values, "output_dir": request["output_dir"], "rank": 0}.items():
        parser[name] = value
    parser["device"] = f"$torch.device('{request['device']}')"
    parser["train#dataset#data"], parser["validate#dataset#data"] = request["training"], request["validation"]
    execute(parser, "initialize")
    times: dict[str, list[float]] = {"step": [], "validation": []}
    trainer, evaluator = (parser.get_parsed_content(name) for name in ("train#trainer", "validate#evaluator"))
    loaded = time.perf_counter()
    _time(trainer, times["step"], Events.ITERATION_STARTED, Events.ITERATION_COMPLETED)
    _time(evaluator, times["validation"], Events.STARTED, Events.COMPLETED)
    epoch_started: list[float] = []
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda _: epoch_started.append(time.perf_counter()))
    iterations: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: iterations.append(time.perf_counter()))
    execute(parser, "run")
    gaps = [b - a for a, b in zip(iterations, iterations[1:], strict=False)]
    cached = [dataset._used for dataset in map(parser.get_parsed_content, ("train#dataset", "validate#dataset"))]
    cases = len(request["training"]) + len(request["validation"])
    is_gpu = request["device"].startswith("cuda")
    peak = torch.cuda.max_memory_allocated() if is_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "step_seconds": sum(gaps) / len(gaps),
        "validation_seconds": sum(times["validation"]) / len(request["validation"]),
        "load_seconds": (loaded - started) / cases,
        "peak_gb": peak / 1024**3,
        "cached_gb": sum(cached) / 1024**3,
    }


def _time(engine: Any, found: list[float], start: Any, end: Any) -> None:
    begun: list[float] = []
    engine.add_event_handler(start, lambda _: begun.append(time.perf_counter()))
    engine.add_event_handler(end, lambda _: found.append(time.perf_counter() - begun[-1]))


def main(arguments: Sequence[str]) -> None:
    """Run a request and write its answer."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    write_json(request["answer"], run_steps(request))


if __name__ == "__main__":
    main(sys.argv[1:])
