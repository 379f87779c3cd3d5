"""Fair comparison of attention mechanisms: the same data, budget, seeds and initial weights for each of them.

Every mechanism is trained on the same folds with the same seeds by the train config and scored on the held-out fold
after its last epoch, so that nothing is chosen by the cases that are scored. The weights that a network has without
attention start the same for all mechanisms; what is compared is paired case by case.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bundle.experiments.experiment_folder import open_output

from .comparison_options import parse_attention
from .comparison_plan import DATALIST, KIND, make_plan
from .comparison_runs import run_all
from .comparison_statistics import summarize
from .comparison_tables import write_tables

__all__ = ["compare", "parse_attention"]

logger = logging.getLogger(__name__)


def compare(dataset_dir: str | Path, output_dir: str | Path, *, command: str = "", **options: Any) -> dict[str, Any]:
    """Train, score and compare; runs that ``output_dir`` already holds are not repeated.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        output_dir: folder for ``comparison.md``, ``comparison.json``, ``comparison.csv`` and the single runs.
        command: what to call the command in the tables.
        options: as for :func:`bundle.experiments.compare.comparison_plan.make_plan`.

    Returns:
        The content of ``comparison.json``.

    Raises:
        ExperimentError: when an option cannot be used or ``output_dir`` holds something else.
        DatalistError: when the dataset cannot be used.
    """
    output = Path(output_dir)
    plan = make_plan(dataset_dir, **options)
    open_output(plan.content(), output, KIND, datalists={DATALIST: plan.datalist})
    results, failed = run_all(plan, output)
    content = {
        "command": command,
        "plan": {key: value for key, value in plan.content().items() if key not in ("train", "evaluation", "datalist")},
        "devices": sorted({result["device"] for result in results}),
        "failed": failed,
        "left_out": sorted({failure["message"] for result in results for failure in result["failures"]}),
        "results": summarize(results, list(plan.attention)),
    }
    write_tables(content, results, output)
    logger.info("%s: %d of %d runs done", output / "comparison.md", len(results), len(plan.runs()))
    return content
