"""The runs of a comparison: one training and one evaluation each, kept as ``runs/<name>/result.json``."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from bundle.cluster.connection import ClusterOptions
from bundle.experiments.config_runner import read_failures, run_evaluation, run_training
from bundle.experiments.experiment_folder import DATALIST
from bundle.experiments.experiment_runs import Result, run_all, write_result

from .comparison_plan import ComparisonPlan, Run, build_network

SHARED = ("train#preprocessing", "train#dataset", "validate#preprocessing", "validate#dataset")
"""What the runs of a fold share, so that its cases are loaded once; ``EpochSeed`` seeds the random transforms anew."""

QUIET = ("bundle.training", "bundle.inference", "bundle.data", "ignite")


def run_comparison(
    plan: ComparisonPlan, output: Path, cluster: ClusterOptions | None = None
) -> tuple[list[Result], list[dict[str, str]]]:
    """Run what has no result yet, see :func:`bundle.experiments.experiment_runs.run_all`."""
    shared: dict[int, dict[str, Any]] = {}

    def run_next(run: Run) -> Result:
        if run.fold not in shared:
            shared.clear()
        with _quiet_loggers():
            return run_one(plan, run, output, shared.setdefault(run.fold, {}))

    folders = {run: output / "runs" / run.name for run in plan.runs()}
    return run_all(folders, run_next, lambda result: f"mean Dice {mean_dice(result):.4f}", cluster=cluster)


def run_one(plan: ComparisonPlan, run: Run, output: Path, shared: dict[str, Any]) -> Result:
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
    write_result(result, folder)
    (folder / "train" / "last.pt").unlink(missing_ok=True)
    return result


def train(plan: ComparisonPlan, run: Run, output: Path, shared: dict[str, Any]) -> tuple[nn.Module, dict[str, float]]:
    """Train by the train config, as ``python -m monai.bundle run`` does, from the initial weights of the plan.

    A run starts anew after an interruption, so its settings are not stored.

    Returns:
        The network after the last epoch, and the duration of the training, see
        :func:`bundle.experiments.config_runner.run_training`.
    """
    network = build_network(plan, run.attention, run.seed)
    parser = _config_of(plan, plan.train, run, output, "train")
    parser.update({"seed": run.seed, "attention": plan.attention[run.attention], "settings": None, **shared})
    parser.parse()
    shared.update({name: parser.get_parsed_content(name) for name in SHARED if name in parser})
    parser.get_parsed_content("network").load_state_dict(network.state_dict())
    times = run_training(parser)
    return parser.get_parsed_content("network"), times


def evaluate(plan: ComparisonPlan, run: Run, output: Path, network: nn.Module) -> list[dict[str, Any]]:
    """Score a network on the held-out fold by the evaluation config.

    Returns:
        The metrics, one row per case and structure.
    """
    parser = _config_of(plan, plan.evaluation, run, output, "evaluate")
    parser.update({"split": "validation", "network": network})
    run_evaluation(parser)
    path = output / "runs" / run.name / "evaluate" / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))["cases"]


def mean_dice(result: Result) -> float:
    """Return the mean Dice over the cases and structures of a run."""
    dice = [row["dice"] for row in result["rows"] if row["dice"] is not None]
    return sum(dice) / len(dice) if dice else math.nan


def _config_of(plan: ComparisonPlan, config: dict[str, Any], run: Run, output: Path, kind: str) -> ConfigParser:
    parser = ConfigParser(deepcopy(config))
    places = {"dataset_dir": plan.dataset_dir, "datalist": output / DATALIST}
    parser.update({name: str(path.resolve()) for name, path in places.items()})
    parser.update({"fold": run.fold, "output_dir": str(output / "runs" / run.name / kind)})
    if kind == "train":
        parser.update({"overwrite": True})
    return parser


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Log no lines about single epochs and cases."""
    levels = {name: logging.getLogger(name).level for name in QUIET}
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
