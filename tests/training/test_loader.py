"""A training has a batch, also of fewer cases than a batch."""

from __future__ import annotations

import logging

import pytest
import torch
from contracts import config as contract
from torch.utils.data import WeightedRandomSampler

from bundle.training import TrainingLoader


@pytest.mark.parametrize("draws", [None, 3])
def test_fewer_cases_than_a_batch_are_one_batch_and_both_numbers_are_logged(
    draws: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = WeightedRandomSampler([1.0] * 40, draws) if draws else None
    loader = TrainingLoader(range(40 if draws else 3), batch_size=16, sampler=sampler, drop_last=True)
    assert [len(batch) for batch in loader] == [3]
    assert "an epoch has 3 training cases, fewer than batch_size 16: batches of 3" in caplog.text


@pytest.mark.parametrize(("count", "drop_last", "sizes"), [(5, True, [2, 2]), (5, False, [2, 2, 1]), (1, False, [1])])
def test_other_batches_are_those_of_pytorch(
    count: int, drop_last: bool, sizes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loader = TrainingLoader(range(count), batch_size=2, drop_last=drop_last)
    assert [len(batch) for batch in loader] == sizes
    assert torch.cat(list(loader)).tolist() == list(range(sum(sizes)))
    assert caplog.text == ""


def test_no_case_is_an_error_with_both_numbers() -> None:
    with pytest.raises(ValueError, match="an epoch has 0 training cases and a batch 16: there is nothing to train on"):
        TrainingLoader([], batch_size=16, drop_last=True)


def test_a_batch_without_cases_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        TrainingLoader([1], batch_size=0)


@pytest.mark.parametrize("name", [name for name in contract.config_files() if "train" in contract.read(name)])
def test_every_training_uses_it(name: str) -> None:
    loader = contract.read(name)["train"].get("dataloader", {})
    assert loader.get("_target_", "bundle.training.TrainingLoader") == "bundle.training.TrainingLoader"


@pytest.mark.parametrize(
    ("options", "batches", "draws"),
    [({}, 2, 3), ({"repeats": 2}, 3, 6), ({"iterations": 5}, 5, 10), ({"iterations": 1}, 1, 2)],
)
def test_an_epoch_has_as_many_batches_as_wanted(options: dict[str, int], batches: int, draws: int) -> None:
    loader = TrainingLoader([1, 2, 3], batch_size=2, shuffle=True, **options)
    drawn = [int(item) for batch in loader for item in batch]
    assert (len(loader), len(drawn)) == (batches, draws)
    counts = [drawn.count(item) for item in (1, 2, 3)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("options", [{"repeats": 0}, {"iterations": 0}])
def test_numbers_of_patches_are_positive(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="patches_per_case and iterations_per_epoch must be 1 or more"):
        TrainingLoader([1], **options)
