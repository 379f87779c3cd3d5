"""Fair comparison of attention mechanisms: the same data, budget, seeds and initial weights for each of them.

Every mechanism is trained on the same folds with the same seeds by the train config and scored on the held-out fold
after its last epoch, so that nothing is chosen by the cases that are scored. The weights that a network has without
attention start the same for all mechanisms; the comparison is paired case by case.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bundle.cluster.connection import ClusterOptions
from bundle.experiments.experiment_folder import open_output
from bundle.experiments.experiment_runs import skipped_cases

from .comparison_options import parse_attention
from .comparison_plan import KIND, plan_comparison
from .comparison_runs import run_comparison
from .comparison_statistics import summarize
from .comparison_tables import write_tables

__all__ = ["compare", "parse_attention"]

logger = logging.getLogger(__name__)


def compare(
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    command: str = "",
    cluster: ClusterOptions | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train, evaluate and compare mechanisms; runs that ``output_dir`` already holds are not repeated.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        output_dir: folder for ``comparison.md``, ``comparison.json``, ``comparison.csv`` and the single runs.
        command: command line, for the tables.
        cluster: where the trainings run; None for one after another in this process.
        options: as for :func:`bundle.experiments.compare.comparison_plan.plan_comparison`.

    Returns:
        The content of ``comparison.json``.

    Raises:
        ExperimentError: when an option cannot be used or ``output_dir`` holds something else.
        DatalistError: when the dataset cannot be used.
    """
    output = Path(output_dir)
    plan = plan_comparison(dataset_dir, **options)
    open_output(plan.content(), output, KIND, datalist=plan.datalist)
    results, failed = run_comparison(plan, output, cluster)
    content = {
        "command": command,
        "plan": {key: value for key, value in plan.content().items() if key not in ("train", "evaluation", "datalist")},
        "devices": sorted({result["device"] for result in results}),
        "failed": failed,
        "skipped": skipped_cases(results),
        "results": summarize(results, list(plan.attention)),
    }
    write_tables(content, results, output)
    logger.info("%s: %d of %d runs completed", output / "comparison.md", len(results), len(plan.runs()))
    return content
