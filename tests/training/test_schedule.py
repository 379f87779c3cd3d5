"""The learning rate rises linearly in the warm-up and follows its schedule to the end of the run."""

from __future__ import annotations

import math

import pytest
import torch

from bundle.training import WarmupSchedule


def rates(name: str, epochs: int, warmup: int, steps: int | None = None) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = WarmupSchedule(optimizer, name, epochs, warmup)
    found = []
    for _ in range(steps or epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_warm_up_rises_by_equal_steps_to_the_highest_rate() -> None:
    assert rates("constant", 6, 3) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])


@pytest.mark.parametrize("warmup", [0, 2])
def test_cosine_is_half_a_wave(warmup: int) -> None:
    expected = [1 + math.cos(math.pi * step / 8) for step in range(8)]
    assert rates("cosine", 8 + warmup, warmup)[warmup:] == pytest.approx(expected)


def test_poly_falls_with_the_exponent_of_the_literature() -> None:
    assert rates("poly", 5, 0) == pytest.approx([2 * (1 - step / 5) ** 0.9 for step in range(5)])


def test_step_takes_a_tenth_every_ten_epochs_after_the_warm_up() -> None:
    assert rates("step", 23, 1)[1:] == pytest.approx([2.0] * 10 + [0.2] * 10 + [0.02] * 2)


def test_constant_without_warm_up_never_changes() -> None:
    assert rates("constant", 4, 0) == [2.0] * 4


@pytest.mark.parametrize("name", ["cosine", "poly"])
def test_after_the_last_epoch_the_rate_stays_at_zero(name: str) -> None:
    assert rates(name, 3, 1, steps=6)[3:] == pytest.approx([0, 0, 0], abs=1e-12)


def test_a_warm_up_longer_than_the_run_is_cut_off_with_it() -> None:
    assert rates("cosine", 2, 5) == pytest.approx([2 / 6, 4 / 6])


def test_its_state_continues_where_it_stopped() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    runs = []
    for _ in range(2):
        optimizer = torch.optim.SGD([parameter], lr=2.0)
        runs.append((optimizer, WarmupSchedule(optimizer, "cosine", 9, 2)))
    for _ in range(4):
        runs[0][0].step()
        runs[0][1].step()
    for item, other in zip(runs[1], runs[0], strict=True):
        item.load_state_dict(other.state_dict())
    for optimizer, schedule in runs:
        optimizer.step()
        schedule.step()
    assert runs[0][0].param_groups[0]["lr"] == runs[1][0].param_groups[0]["lr"]


def test_a_state_of_a_shorter_run_or_another_rate_gets_the_rate_of_the_new_schedule() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    short = WarmupSchedule(optimizer, "cosine", 3)
    for _ in range(3):
        optimizer.step()
        short.step()
    assert short.get_last_lr() == [0.0]
    other = torch.optim.SGD([parameter], lr=1.0)
    schedule = WarmupSchedule(other, "constant", 6)
    other.load_state_dict(optimizer.state_dict())
    schedule.load_state_dict(short.state_dict())
    assert schedule.get_last_lr() == [1.0]
    assert (other.param_groups[0]["lr"], other.param_groups[0]["initial_lr"]) == (1.0, 1.0)
    assert schedule.last_epoch == 3


def test_an_unknown_name_is_refused() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match="lr_schedule must be one of cosine, poly, step, constant, got 'linear'"):
        WarmupSchedule(optimizer, "linear", 5)


def test_a_training_without_epochs_is_refused() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match="epochs must be 1 or more, got 0"):
        WarmupSchedule(optimizer, "cosine", 0)
