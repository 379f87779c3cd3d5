"""Only a finite metric becomes the best one."""

from __future__ import annotations

import math

from helpers.trainings import ScriptedEvaluator, small_network

from bundle.training.best_metric import prefer_finite


def evaluator(*scores: float) -> ScriptedEvaluator:
    found = ScriptedEvaluator(small_network(), scores)
    prefer_finite(found)
    return found


def test_before_the_first_finite_value_there_is_no_best_epoch() -> None:
    found = evaluator(math.nan, math.inf)
    found.run(1)
    found.run(2)
    assert math.isnan(found.state.best_metric)
    assert found.state.best_metric_epoch == 0


def test_finite_values_are_compared_as_before() -> None:
    found = evaluator(math.nan, -3.0, math.nan, -4.0, -2.0)
    for epoch in range(1, 6):
        found.run(epoch)
    assert (found.state.best_metric, found.state.best_metric_epoch) == (-2.0, 5)


def test_the_best_metric_of_an_evaluator_that_has_run_is_kept() -> None:
    found = ScriptedEvaluator(small_network(), [0.5])
    found.run(1)
    prefer_finite(found)
    assert (found.state.best_metric, found.state.best_metric_epoch) == (0.5, 1)
