"""Cross-validation: one training per fold, metrics of every case by the network that has not seen it, an ensemble.

Every fold is held out once. Its network is scored after the last epoch, so that nothing is chosen by the cases that are
scored. Where the dataset has labeled test cases, which no fold is trained on, the networks and their ensemble are
scored on them as well.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bundle.cluster.connection import ClusterOptions
from bundle.experiments.experiment_folder import open_output
from bundle.experiments.experiment_runs import RESULT, Result, read_result, skipped_cases
from bundle.utils.write_json import write_json

from .crossval_plan import KIND, CrossvalPlan, plan_crossval
from .crossval_tables import write_tables
from .fold_ensemble import WEIGHTS, write_ensemble
from .fold_runs import evaluate, run_folds
from .fold_scores import Scores, mean_of_key, paired, summarize

__all__ = ["crossval"]

logger = logging.getLogger(__name__)


def crossval(
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    command: str = "",
    cluster: ClusterOptions | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train and score all folds; what ``output_dir`` already holds is not repeated.

    Args:
        dataset_dir: folder of the dataset.
        output_dir: folder for ``crossval.json``, ``crossval.csv`` and ``crossval.md``, the folds, and, when all of them
            are trained, ``ensemble.pt`` with the overlays ``ensemble.json`` and ``ensemble_evaluate.json``.
        command: command line, for the tables.
        cluster: where the folds are trained; None for one after another in this process.
        options: as for :func:`bundle.experiments.crossval.crossval_plan.plan_crossval`.

    Returns:
        The content of ``crossval.json``.

    Raises:
        ExperimentError: when an option cannot be used or ``output_dir`` holds something else.
        DatalistError: when the dataset cannot be used.
    """
    output = Path(output_dir)
    plan = plan_crossval(dataset_dir, **options)
    open_output(plan.content(), output, KIND, datalist=plan.new_datalist)
    results, failed = run_folds(plan, output, cluster)
    ensemble = None if failed else _ensemble(plan, output)
    content = {
        "command": command,
        "plan": _plan_summary(plan),
        "failed": failed,
        "skipped": skipped_cases(results),
        "folds": {str(result["fold"]): _fold(result) for result in results},
        "out_of_fold": summarize([result["scores"] for result in results]),
        "test": _test(results, ensemble) if plan.test and ensemble else None,
    }
    write_tables(content, results, ensemble, output)
    logger.info("%s: %d of %d folds completed", output / "crossval.md", len(results), len(plan.folds))
    return content


def _ensemble(plan: CrossvalPlan, output: Path) -> Scores | None:
    """Write the ensemble; return its scores on the test cases, where there are some."""
    folder = output / "ensemble"
    config = write_ensemble(plan, output)
    if not plan.test:
        return None
    if not (folder / RESULT).is_file():
        scores = evaluate(plan, config, next(iter(plan.folds)), output, "test", output / WEIGHTS, folder)
        write_json(folder / RESULT, scores)
    return read_result(folder)


def _plan_summary(plan: CrossvalPlan) -> dict[str, Any]:
    content = plan.content()
    shown = {name: content[name] for name in ("dataset", "epochs", "nproc", "versions")}
    return {**shown, "cases": sum(map(len, plan.folds.values())), "test_cases": len(plan.test)}


def _fold(result: Result) -> dict[str, Any]:
    metric, value = mean_of_key(result["scores"])
    return {"cases": len({row["case"] for row in result["scores"]["rows"]}), "metric": metric, "mean": value}


def _test(results: list[Result], ensemble: Scores) -> dict[str, Any]:
    """Compare the ensemble on the test cases with the single network that is best on them."""
    means = {result["fold"]: mean_of_key(result["test"])[1] for result in results}
    best = max(results, key=lambda result: means[result["fold"]])
    return {
        "metric": mean_of_key(ensemble)[0],
        "mean": {**{f"fold{fold}": value for fold, value in means.items()}, "ensemble": mean_of_key(ensemble)[1]},
        "best": best["fold"],
        "single": {f"fold{result['fold']}": summarize([result["test"]]) for result in results},
        "ensemble": summarize([ensemble]),
        "difference": paired(ensemble, best["test"]),
    }
