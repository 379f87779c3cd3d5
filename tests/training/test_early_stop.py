"""A training ends when validation has not improved for as many epochs as allowed."""

from __future__ import annotations

import logging

import pytest
from helpers.trainings import ScriptedEvaluator, small_network, small_trainer
from monai.handlers import ValidationHandler

from bundle.training import EarlyStop


def last_epoch(scores: list[float], patience: int | None) -> int:
    network = small_network()
    evaluator = ScriptedEvaluator(network, scores)
    handlers = [ValidationHandler(1, evaluator), EarlyStop(evaluator, patience)]
    trainer = small_trainer(network, handlers, epochs=len(scores), cases=2)
    trainer.run()
    return trainer.state.epoch


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([0.5, 0.4, 0.4, 0.4, 0.4], 2, 3),
        ([0.5, 0.4, 0.6, 0.5, 0.5, 0.5], 2, 5),
        ([0.5, 0.5, 0.5, 0.5], 1, 2),
        ([0.1, 0.2, 0.3, 0.4], 1, 4),
        ([0.5, 0.4, 0.4], 3, 3),
        ([0.5, 0.4, 0.4, 0.4], None, 4),
    ],
    ids=str,
)
def test_it_stops_after_patience_epochs_without_improvement(
    scores: list[float], patience: int | None, expected: int
) -> None:
    assert last_epoch(scores, patience) == expected


def test_the_stop_is_logged_with_the_best_epoch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    last_epoch([0.1, 0.5, 0.4, 0.4], 2)
    assert "stopping after epoch 4: no improvement since epoch 2" in caplog.text


def test_without_any_validation_it_never_stops() -> None:
    network = small_network()
    trainer = small_trainer(network, [EarlyStop(ScriptedEvaluator(network, []), 1)], epochs=3, cases=2)
    trainer.run()
    assert trainer.state.epoch == 3
