"""A training leaves a log file and its curves."""

from __future__ import annotations

import csv
import logging
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.trainings import CountingLoss, ScriptedEvaluator, small_network, small_trainer
from monai.handlers import ValidationHandler
from PIL import Image

from bundle.training import TrainingLog, training_log
from bundle.training.best_metric import prefer_finite
from bundle.training.training_log import draw_curves, peak_gb


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "curves.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def train(folder: Path, epochs: int = 2, *, start: int = 0, scores: list[float] | None = None, **options: Any) -> Any:
    network = small_network()
    evaluator = ScriptedEvaluator(network, scores or [0.5, 0.75])
    log = TrainingLog(folder, network, evaluator=evaluator, **options)
    trainer = small_trainer(network, (ValidationHandler(1, evaluator), log), epochs=epochs, cases=4)
    trainer.state.epoch = start
    trainer.run()
    return log


def test_every_epoch_is_a_row_with_loss_rate_memory_and_metrics(tmp_path: Path) -> None:
    train(tmp_path)
    first, second = rows(tmp_path)
    assert (first["epoch"], second["epoch"]) == ("1", "2")
    assert float(first["rate"]) > 0
    assert float(first["loss"]) > 0
    assert float(first["memory_gb"]) > 0.01
    assert [row[name] for row in (first, second) for name in list(row)[5:]] == ["0.5", "0.75"]
    with Image.open(tmp_path / "curves.png") as figure:
        assert figure.size[0] > 500


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if text.startswith("epoch ")]


def test_every_epoch_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    caplog.set_level(logging.INFO, training_log.__name__)
    monkeypatch.setattr(training_log, "peak_gb", lambda _: 1.5)
    network, evaluator = small_network(), ScriptedEvaluator(small_network(), [0.75, 0.5])
    log = TrainingLog(tmp_path, network, evaluator=evaluator)
    handlers = (ValidationHandler(1, evaluator), log)
    small_trainer(network, handlers, epochs=2, cases=4, loss=CountingLoss()).run()
    first, second = lines(caplog)
    numbers = "rate 0.01, 1.50 GB"
    assert re.fullmatch(
        rf"epoch 1/2: loss 1\.5000, dice 0\.7500, best 0\.7500, {numbers}, \d+ s so far, about \d+ s left", first
    )
    assert re.fullmatch(
        rf"epoch 2/2: loss 3\.5000, dice 0\.5000, best 0\.7500, {numbers}, \d+ s so far, about 0 s left", second
    )


def test_without_a_finite_metric_there_is_no_best_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, training_log.__name__)
    network, evaluator = small_network(), ScriptedEvaluator(small_network(), [float("nan")])
    prefer_finite(evaluator)
    handlers = (ValidationHandler(1, evaluator), TrainingLog(tmp_path, network, evaluator=evaluator))
    small_trainer(network, handlers, epochs=1, cases=4).run()
    assert "dice nan, rate" in lines(caplog)[0]


def test_the_time_left_is_that_of_the_epochs_since_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, training_log.__name__)
    now = {3: 100.0, 4: 110.0, 5: 130.0}
    trainer = small_trainer(small_network(), (), epochs=5, cases=4)
    monkeypatch.setattr(training_log, "time", SimpleNamespace(monotonic=lambda: now[trainer.state.epoch]))
    trainer.add_event_handler("STARTED", lambda engine: setattr(engine.state, "epoch", 3))
    TrainingLog(tmp_path, small_network()).attach(trainer)
    trainer.run()
    first, second = lines(caplog)
    assert first.startswith("epoch 4/5: loss ")
    assert first.endswith(" 10 s so far, about 10 s left")
    assert second.endswith(" 30 s so far, about 0 s left")


def test_the_log_file_begins_with_what_is_trained(tmp_path: Path) -> None:
    logging.getLogger("bundle").setLevel(logging.INFO)
    train(tmp_path, values={"data": "DIR", "spacing": [1, 1, 2]})
    text = (tmp_path / "training.log").read_text()
    assert "data: DIR" in text
    assert "spacing: [1, 1, 2]" in text
    assert "parameters" in text
    assert "2 epochs of" in text
    open_files = [getattr(handler, "baseFilename", "") for handler in logging.getLogger().handlers]
    assert str(tmp_path / "training.log") not in open_files


def test_a_resumed_training_continues_its_files(tmp_path: Path) -> None:
    train(tmp_path, epochs=3, scores=[0.1, 0.2, 0.3])
    train(tmp_path, epochs=3, start=2, scores=[0.7, 0.8, 0.9], resume=True)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]
    (tmp_path / "curves.csv").unlink()
    train(tmp_path, epochs=3, start=2, scores=[0.7, 0.8, 0.9], resume=True)
    assert [row["epoch"] for row in rows(tmp_path)] == ["3"]
    train(tmp_path, epochs=1)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]


def test_every_structure_has_its_dice(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, small_network(), structures={"left": 1, "right": 2})
    details = {"val_mean_dice": torch.tensor([[0.5, 0.25], [torch.nan, 0.75]]), "other": torch.zeros(3), "no": None}
    state = SimpleNamespace(epoch=4, metrics={"val_mean_dice": 0.5}, metric_details=details)
    log.evaluator = SimpleNamespace(state=state)  # type: ignore[assignment]
    assert log._metrics(4) == {"val_mean_dice": 0.5, "dice_left": 0.5, "dice_right": 0.5}
    assert log._metrics(5) == {}


def test_few_validation_cases_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = small_network()
    evaluator = ScriptedEvaluator(network, [0.5])
    evaluator.data_loader = SimpleNamespace(dataset=[1, 2])  # type: ignore[assignment]
    small_trainer(network, (TrainingLog(tmp_path, network, evaluator=evaluator),), epochs=1, cases=2).run()
    assert "validation on 2 cases: fewer than 5 say little about other cases" in caplog.text


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    train(tmp_path, enabled=False)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_an_interrupted_training_is_closed_by_the_next(tmp_path: Path) -> None:
    trainer = small_trainer(small_network(), (), epochs=1, cases=2)
    first, second = TrainingLog(tmp_path / "a", small_network()), TrainingLog(tmp_path / "b", small_network())
    first._start(trainer)
    second._start(trainer)
    logging.getLogger("bundle").warning("of the second")
    second.close()
    second.close()
    assert "of the second" not in (tmp_path / "a" / "training.log").read_text()
    assert "of the second" in (tmp_path / "b" / "training.log").read_text()


def test_curves_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_curves([{"epoch": 1, "loss": 0.5}], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_column_without_a_value_is_not_drawn(tmp_path: Path) -> None:
    draw_curves([{"epoch": 1, "loss": "", "dice": ""}], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_steps_without_a_finite_loss_do_not_count(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, small_network())
    for output in ([{"loss": float("nan")}], [], [{"loss": 2.0}]):
        log._note_loss(SimpleNamespace(state=SimpleNamespace(output=output)))  # type: ignore[arg-type]
    assert log._losses == [2.0]
    log._note_rate(SimpleNamespace())  # type: ignore[arg-type]
    assert log._rate != log._rate


def test_the_memory_of_a_gpu_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: 2 * 1024**3)
    assert peak_gb("cuda") == 2
