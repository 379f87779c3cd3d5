"""The folds of a cross-validation: a training and its evaluations each, kept as ``fold<k>/result.json``."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from bundle import ROOT
from bundle.experiments.config_runner import execute, read_failures, run_training
from bundle.experiments.experiment_configs import root_cause
from bundle.experiments.experiment_folder import write_json
from bundle.experiments.experiment_options import ExperimentError

from .crossval_plan import DATALIST, Plan
from .fold_scores import Scores, mean_of_key, read_scores

logger = logging.getLogger(__name__)

Result = dict[str, Any]

MULTI_GPU = Path(ROOT, "configs", "multi_gpu_train.json")
LOGGING = Path(ROOT, "configs", "logging.conf")
RESULT = "result.json"


def run_folds(plan: Plan, output: Path) -> tuple[list[Result], list[dict[str, str]]]:
    """Run the folds that have no result yet; one that fails is recorded, and the others go on.

    Returns:
        The results, and the names and errors of the folds that failed.
    """
    results, failed = [], []
    for number, fold in enumerate(plan.folds, start=1):
        folder = output / f"fold{fold}"
        if (folder / RESULT).is_file():
            results.append(json.loads((folder / RESULT).read_text(encoding="utf-8")))
            continue
        logger.info("fold %d, %d of %d: training and evaluation in %s", fold, number, len(plan.folds), folder)
        try:
            result = run_fold(plan, fold, output)
        except Exception as error:
            failed.append({"run": folder.name, "error": f"{type(root_cause(error)).__name__}: {root_cause(error)}"})
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            logger.error("fold %d failed: %s", fold, failed[-1]["error"])
        else:
            results.append(result)
            metric, value = mean_of_key(result["scores"])
            logger.info("fold %d, %d of %d: mean %s %.4f", fold, number, len(plan.folds), metric, value)
    return results, failed


def run_fold(plan: Plan, fold: int, output: Path) -> Result:
    """Train on all other folds, score the fold and the test cases, and write ``result.json``.

    A training that was cut off goes on behind its last whole epoch.
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
    write_json(result, folder / RESULT)
    (folder / "error.txt").unlink(missing_ok=True)
    (folder / "last.pt").unlink(missing_ok=True)
    return result


def train(plan: Plan, fold: int, output: Path) -> None:
    """Train in this process, as ``python -m monai.bundle run`` does."""
    parser = ConfigParser(deepcopy(plan.configs["train"]))
    parser.update(_training_places(plan, fold, output))
    run_training(parser)


def train_in_processes(plan: Plan, fold: int, output: Path) -> None:
    """Train in several processes under ``torchrun``, whose words go to ``train.log``.

    Raises:
        ExperimentError: when they leave no weights.
    """
    folder = output / f"fold{fold}"
    parser = ConfigParser(deepcopy(plan.configs["train"]))
    for key, value in ConfigParser.load_config_file(str(MULTI_GPU)).items():
        merge_kv(parser, key, value)
    parser.update(_training_places(plan, fold, output))
    write_json(parser.get(), folder / "train.json")
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
    plan: Plan, config: dict[str, Any], fold: int, output: Path, split: str, checkpoint: Path, folder: Path
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
    execute(parser, "initialize")
    execute(parser, "run")
    return read_scores(folder / "metrics.json")


def places(plan: Plan, fold: int, output: Path, folder: Path) -> dict[str, Any]:
    """Return the ids of a config that say where everything is."""
    datalist = output / DATALIST if plan.dealt else plan.datalist
    return {
        "dataset_dir": str(plan.dataset_dir.resolve()),
        "datalist": None if datalist is None else str(datalist.resolve()),
        "fold": fold,
        "output_dir": str(folder.resolve()),
    }


def _training_places(plan: Plan, fold: int, output: Path) -> dict[str, Any]:
    folder = output / f"fold{fold}"
    return {**places(plan, fold, output, folder), "resume": (folder / "last.pt").is_file()}


def _is_trained(folder: Path) -> bool:
    """Tell whether a training has come to its end: its summary is what it writes last."""
    path = folder / "summary.json"
    if not path.is_file() or not (folder / "model.pt").is_file():
        return False
    return "stopped" not in json.loads(path.read_text(encoding="utf-8"))
