"""The runs of a comparison: one training and one evaluation each, kept as ``runs/<name>/result.json``."""

from __future__ import annotations

import json
import logging
import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from bundle.experiments.config_runner import execute, read_failures, run_training
from bundle.experiments.experiment_configs import root_cause
from bundle.experiments.experiment_folder import write_json

from .comparison_plan import DATALIST, Plan, Run, build_network

logger = logging.getLogger(__name__)

Result = dict[str, Any]

SHARED = ("train#preprocessing", "train#dataset", "validate#preprocessing", "validate#dataset")
"""What the runs of a fold share, so that its cases are loaded once; ``EpochSeed`` seeds the random transforms anew."""

QUIET = ("bundle.training", "bundle.inference", "bundle.data", "ignite")


def run_all(plan: Plan, output: Path) -> tuple[list[Result], list[dict[str, str]]]:
    """Run what has no result yet; a run that fails is recorded, and the others go on.

    Returns:
        The results, and the names and errors of the runs that failed.
    """
    runs, results, failed = plan.runs(), [], []
    shared: dict[int, dict[str, Any]] = {}
    seconds: list[float] = []
    for number, run in enumerate(runs, start=1):
        folder = output / "runs" / run.name
        if (folder / "result.json").is_file():
            results.append(json.loads((folder / "result.json").read_text(encoding="utf-8")))
            continue
        shared = {run.fold: shared.get(run.fold, {})}
        started = time.monotonic()
        try:
            with _quiet():
                result = run_one(plan, run, output, shared[run.fold])
        except Exception as error:
            failed.append({"run": run.name, "error": f"{type(root_cause(error)).__name__}: {root_cause(error)}"})
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            logger.error("run %d/%d %s failed: %s", number, len(runs), run.name, failed[-1]["error"])
        else:
            results.append(result)
            seconds.append(time.monotonic() - started)
            left = sum(seconds) / len(seconds) * (len(runs) - number)
            told = (number, len(runs), run.name, mean_dice(result), seconds[-1], left)
            logger.info("run %d/%d %s: mean Dice %.4f, %.0f s, about %.0f s left", *told)
    return results, failed


def run_one(plan: Plan, run: Run, output: Path, shared: dict[str, Any]) -> Result:
    """Train and score once, and write ``result.json``.

    Args:
        plan: the plan that the run is of.
        run: mechanism, fold and seed.
        output: folder of the comparison.
        shared: components that the runs of this fold share; the first run fills it.
    """
    folder = output / "runs" / run.name
    network, times = train(plan, run, output, shared)
    rows = evaluate(plan, run, output, network)
    result = {
        "fold": run.fold,
        "seed": run.seed,
        "attention": run.attention,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "epochs": plan.epochs,
        **times,
        "device": f"{next(network.parameters()).device.type}, CPU threads: {torch.get_num_threads()}",
        "failures": [*read_failures(folder / "train"), *read_failures(folder / "evaluate")],
        "rows": rows,
    }
    write_json(result, folder / "result.json")
    (folder / "error.txt").unlink(missing_ok=True)
    (folder / "train" / "last.pt").unlink(missing_ok=True)
    return result


def train(plan: Plan, run: Run, output: Path, shared: dict[str, Any]) -> tuple[nn.Module, dict[str, float]]:
    """Train by the train config, as ``python -m monai.bundle run`` does, from the initial weights of the plan.

    Returns:
        The network after the last epoch, and the seconds of the training: ``seconds`` that passed, and ``cpu_seconds``
        of this process.
    """
    network = build_network(plan, run.attention, run.seed)
    parser = _parser(plan, plan.train, run, output, "train")
    parser.update({"seed": run.seed, "attention": plan.attention[run.attention], **shared})
    parser.parse()
    shared.update({name: parser.get_parsed_content(name) for name in SHARED if name in parser})
    parser.get_parsed_content("network").load_state_dict(network.state_dict())
    times = run_training(parser)
    return parser.get_parsed_content("network"), times


def evaluate(plan: Plan, run: Run, output: Path, network: nn.Module) -> list[dict[str, Any]]:
    """Score a network on the held-out fold by the evaluation config.

    Returns:
        The metrics, a row a case and structure.
    """
    parser = _parser(plan, plan.evaluation, run, output, "evaluate")
    parser.update({"split": "validation", "network": network})
    execute(parser, "initialize")
    execute(parser, "run")
    path = output / "runs" / run.name / "evaluate" / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"]


def mean_dice(result: Result) -> float:
    """Return the mean Dice over the cases and structures of a run."""
    dice = [row["dice"] for row in result["rows"] if row["dice"] is not None]
    return sum(dice) / len(dice) if dice else math.nan


def _parser(plan: Plan, config: dict[str, Any], run: Run, output: Path, kind: str) -> ConfigParser:
    parser = ConfigParser(deepcopy(config))
    places = {"dataset_dir": plan.dataset_dir, "datalist": output / DATALIST}
    parser.update({name: str(path.resolve()) for name, path in places.items()})
    parser.update({"fold": run.fold, "output_dir": str(output / "runs" / run.name / kind)})
    return parser


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave the lines of single epochs and cases out of the log."""
    levels = {name: logging.getLogger(name).level for name in QUIET}
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
