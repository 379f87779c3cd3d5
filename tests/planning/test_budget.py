"""A training ends within its hours."""

from __future__ import annotations

import pytest

from bundle.planning.budget import Cache, cached_gb, plan_cache, schedule
from bundle.planning.choices import PlanError

MEASURED = {"step_seconds": 1.0, "validation_seconds": 2.0, "load_seconds": 0.1}
CASES = {"training": 100, "validation": 10, "batch_size": 2, "cache": Cache(1.0)}


@pytest.mark.parametrize("hours", [0.1, 0.5, 2.0, 10.0])
def test_the_training_fills_most_of_the_hours_and_no_more(hours: float) -> None:
    found = schedule(MEASURED, hours=hours, **CASES)
    assert 0.6 * hours * 3600 < found.total_seconds <= hours * 3600
    validations = found.epochs // found.val_interval
    assert validations >= 2
    assert validations * 20 <= 0.25 * found.total_seconds or found.val_interval == found.epochs // 2


def test_a_training_without_a_limit_has_a_fixed_number_of_iterations() -> None:
    found = schedule(MEASURED, hours=None, **CASES)
    assert found.epochs * found.iterations == 20_000


def test_hours_in_which_nothing_can_be_learned_are_refused_with_the_least_that_can() -> None:
    with pytest.raises(PlanError, match=r"pass --hours 0\.0\d or more"):
        schedule(MEASURED, hours=0.01, **CASES)


def test_three_epochs_do_not_exceed_the_hours_by_a_third_validation() -> None:
    slow = {"step_seconds": 1.0, "validation_seconds": 60.0, "load_seconds": 1.0}
    found = schedule(slow, hours=0.42, **{**CASES, "training": 148})
    assert (found.epochs, found.epochs // found.val_interval) == (2, 2)
    assert found.total_seconds <= 0.42 * 3600


def test_cases_that_are_loaded_again_and_again_count() -> None:
    slow = {**MEASURED, "load_seconds": 10.0}
    found = schedule(slow, hours=2, **{**CASES, "cache": Cache(4.0, 1.0, 0.5, 0.2)})
    assert found.step_seconds == pytest.approx(1 + 2 * 0.5 * 10)
    assert found.validation_seconds == pytest.approx(10 * (2 + 0.2 * 10))
    assert found.epoch_seconds == found.iterations * found.step_seconds
    assert found.total_seconds <= 2 * 3600


def test_each_cache_has_half_of_the_memory() -> None:
    gigabyte = 1024**3 // 8
    assert plan_cache(gigabyte, 1, 1.0, 8, 2) == Cache(1.0)
    found = plan_cache(4 * gigabyte, 1, 1.0, 8, 2)
    assert (found.gb, found.shown_gb, found.held_gb) == (0.5, 0.5, 1.0)
    assert found.training == pytest.approx(1 - 0.5 / 3.2)
    assert found.validation == pytest.approx(1 - 0.5 / 0.8)
    assert plan_cache(4 * gigabyte, 1, 1.0, 8, 0).validation == 0


def test_the_cache_holds_image_and_label_in_float32() -> None:
    assert cached_gb(1024**3, 2) == 12
