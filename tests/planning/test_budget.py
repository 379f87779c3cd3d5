"""A training ends within its hours."""

from __future__ import annotations

import pytest

from bundle.planning.budget import cached_gb, schedule
from bundle.planning.choices import PlanError

MEASURED = {"step_seconds": 1.0, "validation_seconds": 2.0, "load_seconds": 0.1}
CASES = {"training": 100, "validation": 10, "batch_size": 2}


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


def test_the_cache_holds_image_and_label_in_float32() -> None:
    assert cached_gb(1024**3, 2) == 12
