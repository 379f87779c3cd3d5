"""Which validation was best: an undefined metric never is."""

from __future__ import annotations

import math
from typing import Any

from monai.engines import Evaluator


def prefer_finite(evaluator: Evaluator) -> None:
    """Let only a finite key metric become the best one of an evaluator.

    MONAI 1.6.1 (``monai.engines.Workflow``) takes the first value as the best whatever it is, and nothing is greater
    than NaN, so that an undefined first metric would stay the best one for ever. Until a value is finite, the best
    metric is NaN and its epoch 0.

    Args:
        evaluator: evaluator that has not run yet.
    """
    compare = evaluator.metric_cmp_fn

    def is_better(current: Any, best: Any) -> bool:
        return math.isfinite(float(current)) and (not math.isfinite(float(best)) or bool(compare(current, best)))

    evaluator.metric_cmp_fn = is_better
    if evaluator.state.best_metric_epoch < 0:
        evaluator.state.best_metric, evaluator.state.best_metric_epoch = math.nan, 0
