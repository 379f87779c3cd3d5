"""Progress is a bar where there is a terminal."""

from __future__ import annotations

import sys

import pytest
from helpers.trainings import CountingLoss, small_evaluator, small_network, small_trainer
from monai.engines import SupervisedTrainer

from bundle.training import Progress


def trainer(*handlers: object, epochs: int = 2) -> SupervisedTrainer:
    return small_trainer(small_network(), handlers, epochs=epochs, loss=CountingLoss(), cases=4)


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_a_resumed_run_counts_the_steps_that_are_left(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch)
    engine = trainer(epochs=5)

    def resume(engine: SupervisedTrainer) -> None:
        engine.state.epoch, engine.state.iteration = 3, 6

    engine.add_event_handler("STARTED", resume)
    Progress().attach(engine)
    engine.run()
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


def test_an_evaluation_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    terminal(monkeypatch)
    evaluator = small_evaluator(small_network())
    Progress(unit="case").attach(evaluator)
    evaluator.run()
    assert "2/2" in capsys.readouterr().err


def test_a_case_without_output_moves_the_bar_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    terminal(monkeypatch)
    engine = trainer(epochs=1)
    engine._process_function = lambda *_: []
    Progress().attach(engine)
    engine.run()
    assert "2/2" in capsys.readouterr().err


def test_disabled_it_does_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    terminal(monkeypatch)
    trainer(Progress(enabled=False)).run()
    assert capsys.readouterr().err == ""
