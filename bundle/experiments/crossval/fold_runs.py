"""The folds of a cross-validation: each a training and its evaluations, stored as ``fold<k>/result.json``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from bundle import ROOT
from bundle.cluster.connection import ClusterOptions
from bundle.experiments.config_runner import read_failures, run_evaluation, run_training
from bundle.experiments.experiment_folder import DATALIST
from bundle.experiments.experiment_options import ExperimentError
from bundle.experiments.experiment_runs import Result, run_all, write_result
from bundle.utils.write_json import write_json

from .crossval_plan import CrossvalPlan
from .fold_scores import Scores, mean_of_key, read_scores

MULTI_GPU = Path(ROOT, "configs", "multi_gpu_train.json")
LOGGING = Path(ROOT, "configs", "logging.conf")


def run_folds(
    plan: CrossvalPlan, output: Path, cluster: ClusterOptions | None = None
) -> tuple[list[Result], list[dict[str, str]]]:
    """Run the folds that have no result yet, see :func:`bundle.experiments.experiment_runs.run_all`."""
    folders = {fold: output / f"fold{fold}" for fold in plan.folds}
    return run_all(folders, lambda fold: run_fold(plan, fold, output), _describe, cluster=cluster)


def run_fold(plan: CrossvalPlan, fold: int, output: Path) -> Result:
    """Train on all other folds, score the fold and the test cases, and write ``result.json``.

    A training that was interrupted continues after its last completed epoch.
    """
    folder = output / f"fold{fold}"
    if not _is_trained(folder):
        (train if plan.nproc == 1 else train_in_processes)(plan, fold, output)
    checkpoint = folder / "model.pt"
    failures = read_failures(folder)
    result: Result = {"fold": fold, "failures": failures}
    splits = {"scores": "validation", **({"test": "test"} if plan.test else {})}
    for name, split in splits.items():
        place = folder / ("evaluate" if split == "validation" else split)
        result[name] = evaluate(plan, plan.configs["evaluation"], fold, output, split, checkpoint, place)
        failures += read_failures(place)
    write_result(result, folder)
    (folder / "last.pt").unlink(missing_ok=True)
    return result


def train(plan: CrossvalPlan, fold: int, output: Path) -> None:
    """Train in this process, as ``python -m monai.bundle run`` does."""
    parser = ConfigParser(deepcopy(plan.configs["train"]))
    parser.update(_training_places(plan, fold, output))
    run_training(parser)


def train_in_processes(plan: CrossvalPlan, fold: int, output: Path) -> None:
    """Train in several processes under ``torchrun``, whose output goes to ``train.log``.

    Raises:
        ExperimentError: when they leave no weights.
    """
    folder = output / f"fold{fold}"
    parser = ConfigParser(deepcopy(plan.configs["train"]))
    for key, value in ConfigParser.load_config_file(str(MULTI_GPU)).items():
        merge_kv(parser, key, value)
    parser.update(_training_places(plan, fold, output))
    write_json(folder / "train.json", parser.get())
    processes = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(plan.nproc)]
    files = ["--config_file", str(folder / "train.json"), "--logging_file", str(LOGGING)]
    command = [sys.executable, "-m", *processes, "-m", "monai.bundle", "run", *files]
    paths = [ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    log = folder / "train.log"
    with open(log, "a", encoding="utf-8") as stream:
        status = subprocess.run(command, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if not _is_trained(folder):
        raise ExperimentError(f"torchrun ended with status {status.returncode} and left no weights; see {log}.")


def evaluate(
    plan: CrossvalPlan, config: dict[str, Any], fold: int, output: Path, split: str, checkpoint: Path, folder: Path
) -> Scores:
    """Score weights on one split of the dataset by an evaluation config.

    Args:
        plan: the plan.
        config: content of the evaluation config.
        fold: the fold that counts as validation.
        output: folder of the cross-validation.
        split: ``"validation"`` or ``"test"``.
        checkpoint: the weights.
        folder: folder for the metrics.
    """
    parser = ConfigParser(deepcopy(config))
    parser.update({**places(plan, fold, output, folder), "split": split, "checkpoint": str(checkpoint.resolve())})
    run_evaluation(parser)
    return read_scores(folder / "metrics.json")


def places(plan: CrossvalPlan, fold: int, output: Path, folder: Path) -> dict[str, Any]:
    """Return the ids of a config that name the data and the output."""
    datalist = output / DATALIST if plan.new_datalist else plan.datalist
    return {
        "dataset_dir": str(plan.dataset_dir.resolve()),
        "datalist": None if datalist is None else str(datalist.resolve()),
        "fold": fold,
        "output_dir": str(folder.resolve()),
    }


def _describe(result: Result) -> str:
    metric, value = mean_of_key(result["scores"])
    return f"mean {metric} {value:.4f}"


def _training_places(plan: CrossvalPlan, fold: int, output: Path) -> dict[str, Any]:
    folder = output / f"fold{fold}"
    return {**places(plan, fold, output, folder), "resume": (folder / "last.pt").is_file()}


def _is_trained(folder: Path) -> bool:
    """Return whether a training has ended: it writes its summary last."""
    path = folder / "summary.json"
    if not path.is_file() or not (folder / "model.pt").is_file():
        return False
    return "stopped" not in json.loads(path.read_text(encoding="utf-8"))
