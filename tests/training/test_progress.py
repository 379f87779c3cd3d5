"""Progress writes one line per epoch, and a bar where there is a terminal."""

from __future__ import annotations

import logging
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from helpers.trainings import ScriptedEvaluator, small_evaluator, small_network, small_trainer
from monai.engines import SupervisedTrainer
from monai.handlers import ValidationHandler

from bundle.training import Progress, progress
from bundle.training.best_metric import prefer_finite

LOGGER = "bundle.training.progress"


class CountingLoss(torch.nn.Module):
    """A loss of 1, 2, 3, ... in the steps of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.step += 1
        return pred.sum() * 0 + self.step


def trainer(*handlers: object, epochs: int = 2) -> SupervisedTrainer:
    return small_trainer(small_network(), handlers, epochs=epochs, loss=CountingLoss(), cases=4)


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)


def test_every_epoch_has_a_line_with_its_mean_loss(caplog: pytest.LogCaptureFixture) -> None:
    trainer(Progress()).run()
    first, second = lines(caplog)
    assert re.fullmatch(r"epoch 1/2: loss 1\.5000, \d+ s so far, about \d+ s left", first)
    assert re.fullmatch(r"epoch 2/2: loss 3\.5000, \d+ s so far, about 0 s left", second)


def test_the_line_holds_the_metrics_of_the_validation_and_the_best_one(caplog: pytest.LogCaptureFixture) -> None:
    evaluator = ScriptedEvaluator(small_network(), [0.75, 0.5])
    trainer(ValidationHandler(1, evaluator), Progress(evaluator=evaluator)).run()
    first, second = lines(caplog)
    assert "loss 1.5000, dice 0.7500, best 0.7500," in first
    assert "loss 3.5000, dice 0.5000, best 0.7500," in second


def test_without_a_finite_metric_there_is_no_best_one(caplog: pytest.LogCaptureFixture) -> None:
    evaluator = ScriptedEvaluator(small_network(), [float("nan")])
    prefer_finite(evaluator)
    trainer(ValidationHandler(1, evaluator), Progress(evaluator=evaluator), epochs=1).run()
    assert re.fullmatch(r"epoch 1/1: loss 1\.5000, dice nan, \d+ s so far, about 0 s left", lines(caplog)[0])


def test_a_resumed_run_counts_the_epochs_that_are_left(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 110.0, 130.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    terminal(monkeypatch)
    engine = trainer(epochs=5)

    def resume(engine: SupervisedTrainer) -> None:
        engine.state.epoch, engine.state.iteration = 3, 6

    engine.add_event_handler("STARTED", resume)
    Progress().attach(engine)
    engine.run()
    first, second = lines(caplog)
    assert first == "epoch 4/5: loss 1.5000, 10 s so far, about 10 s left"
    assert second == "epoch 5/5: loss 3.5000, 30 s so far, about 0 s left"
    assert "4/4" in capsys.readouterr().err


def test_without_a_terminal_there_is_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    trainer(Progress()).run()
    assert capfd.readouterr().err == ""


def test_on_a_terminal_the_bar_counts_the_steps_of_the_run_and_shows_the_loss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    terminal(monkeypatch)
    trainer(Progress(unit="batch")).run()
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "batch" in shown
    assert "epoch=2, loss=4.0000" in shown


def test_an_evaluation_has_a_bar_and_no_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    terminal(monkeypatch)
    evaluator = small_evaluator(small_network())
    Progress(unit="case").attach(evaluator)
    evaluator.run()
    assert "2/2" in capsys.readouterr().err
    assert lines(caplog) == []


def test_a_case_without_output_moves_the_bar_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    terminal(monkeypatch)
    engine = trainer(epochs=1)
    engine._process_function = lambda *_: []
    Progress().attach(engine)
    engine.run()
    assert "2/2" in capsys.readouterr().err


def test_disabled_it_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    terminal(monkeypatch)
    trainer(Progress(enabled=False)).run()
    assert capsys.readouterr().err == ""
    assert lines(caplog) == []
