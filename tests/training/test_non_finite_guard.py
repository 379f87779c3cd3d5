"""A step whose loss or gradient is not finite changes neither weights nor moments; a run of them ends the training."""

from __future__ import annotations

import copy
import logging
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from helpers.trainings import small_network, small_trainer
from monai.losses import DiceCELoss

from bundle.training import NonFiniteError, NonFiniteGuard

LOSS = DiceCELoss(to_onehot_y=True, softmax=True)


class FaultyLoss:
    """A loss with a fault at given steps: in its value, or in its gradient alone."""

    def __init__(self, fault: str, *steps: int) -> None:
        self.fault, self.steps, self.step = fault, steps, 0

    def __call__(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.step += 1
        loss = LOSS(pred, label)
        if self.step not in self.steps:
            return loss
        if self.fault == "gradient":  # the square root of 0 is finite, its slope is not
            return loss + torch.sqrt(pred - pred.detach()).sum()
        return loss * float(self.fault)


class Recorder:
    """Keep weights and optimizer as they are after every step."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def attach(self, engine: Any) -> None:
        def keep(engine: Any) -> None:
            self.states.append(copy.deepcopy((engine.network.state_dict(), engine.optimizer.state_dict()["state"])))

        engine.add_event_handler("ITERATION_COMPLETED", keep)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return all(equal(a, b) for a, b in zip(one, other, strict=True))
    return torch.equal(one, other)


@pytest.mark.parametrize("fault", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "SGD"])
@pytest.mark.parametrize("max_norm", [None, 1.0])
def test_a_bad_step_changes_nothing_and_the_next_one_continues(
    fault: str, optimizer: str, max_norm: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    network, recorder, guard = small_network(), Recorder(), NonFiniteGuard(max_norm=max_norm)
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    rule = getattr(torch.optim, optimizer)(network.parameters(), lr=0.01, weight_decay=0.1, **options)
    small_trainer(network, [guard, recorder], optimizer=rule, loss=FaultyLoss(fault, 2), epochs=1).run()
    first, second, third = recorder.states
    assert equal(second, first)
    assert not equal(third[0], second[0])
    assert all(torch.isfinite(value).all() for value in third[0].values())
    assert guard.skipped == 1
    assert guard.in_a_row == 0
    assert "step 2 (epoch 1) is skipped: loss or gradient is not finite (1 skipped so far)" in caplog.text


def test_a_run_of_bad_steps_ends_the_training_with_advice() -> None:
    network, guard = small_network(), NonFiniteGuard(patience=3)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NonFiniteError, match=r"step 3 \(epoch 1\).*3 steps in a row.*--amp false"):
        small_trainer(network, [guard], loss=FaultyLoss("nan", *range(1, 99)), epochs=5).run()
    assert guard.skipped == 3
    assert equal(dict(network.state_dict()), dict(before))


def test_bad_steps_that_are_not_in_a_row_are_counted_but_end_nothing() -> None:
    guard = NonFiniteGuard(patience=2)
    small_trainer(small_network(), [guard], loss=FaultyLoss("nan", 1, 3, 5), epochs=2).run()
    assert guard.skipped == 3


def test_a_good_run_is_that_without_the_guard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    results = []
    for handlers in ([], [NonFiniteGuard()]):
        network = small_network()
        small_trainer(network, handlers, epochs=2).run()
        results.append(dict(network.state_dict()))
    assert equal(*results)
    assert caplog.text == ""


def test_gradients_are_clipped_to_the_norm_asked_for() -> None:
    network, norms = small_network(), []
    trainer = small_trainer(network, [NonFiniteGuard(max_norm=1e-3)])
    directions = []

    def keep(_: Any) -> None:
        gradient = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        norms.append(float(gradient.norm()))
        directions.append(gradient / gradient.norm())

    trainer.add_event_handler("MODEL_COMPLETED", keep)
    trainer.run()
    assert norms == pytest.approx([1e-3] * 3, rel=1e-2)


def test_all_processes_skip_when_one_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process reports a bad step, so this one, whose step is good, skips as well."""
    asked = []

    def all_reduce(value: float, operation: str) -> float:
        asked.append((value, operation))
        return 1.0

    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    monkeypatch.setattr(idist, "all_reduce", all_reduce)
    network, guard = small_network(), NonFiniteGuard()
    before = copy.deepcopy(dict(network.state_dict()))
    small_trainer(network, [guard]).run()
    assert guard.skipped == 3
    assert asked == [(0.0, "MAX")] * 3
    assert equal(dict(network.state_dict()), before)
