"""A training that was interrupted and resumed ends bit for bit where an uninterrupted one ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainings import ScriptedEvaluator, random_transforms, small_evaluator, small_network, small_trainer
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler
from torch import nn

from bundle.training import EarlyStop, EpochSeed, NonFiniteGuard, TrainingCheckpoint, WarmupSchedule


class InterruptionError(RuntimeError):
    """What ends a run from outside."""


def training(
    folder: Path,
    *,
    epochs: int = 4,
    resume: bool = False,
    seed: int = 0,
    workers: int = 0,
    validate: bool = True,
    channels: int = 4,
    scheduled: int = 4,
    stop: str | None = None,
) -> SupervisedTrainer:
    """Return a training with random transforms, dropout, Adam, a schedule and validation; ``seed`` sets the weights."""
    network = small_network(seed, channels)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    schedule = WarmupSchedule(optimizer, "cosine", scheduled, 1)
    transform = random_transforms()
    evaluator = small_evaluator(network) if validate else None
    objects = {"network": network, "optimizer": optimizer, "lr_scheduler": schedule}
    handlers = [
        EpochSeed(7, transform),
        NonFiniteGuard(max_norm=1.0),
        LrScheduleHandler(schedule, print_lr=False),
        *([ValidationHandler(1, evaluator)] if evaluator else []),
        TrainingCheckpoint(folder, objects, evaluator=evaluator, resume=resume),
    ]
    trainer = small_trainer(network, handlers, optimizer=optimizer, epochs=epochs, transform=transform, workers=workers)
    if stop:
        trainer.add_event_handler("ITERATION_STARTED", lambda engine: interrupt(engine, stop))
    return trainer


def interrupt(engine: SupervisedTrainer, how: str) -> None:
    """End the run in the first step of the third epoch."""
    if engine.state.iteration == 7:
        if how == "an error":
            raise InterruptionError
        engine.terminate()


def states(folder: Path) -> dict[str, Any]:
    return {name: torch.load(folder / name, weights_only=True) for name in ("model.pt", "last.pt")}


def assert_equal(one: Any, other: Any) -> None:
    """Compare nested states bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for item, partner in zip(one, other, strict=True):
            assert_equal(item, partner)
    else:
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("how", ["an error", "a request to terminate"])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_and_resumed_training_ends_where_an_uninterrupted_one_does(
    how: str, workers: int, tmp_path: Path
) -> None:
    whole = training(tmp_path / "whole", workers=workers)
    whole.run()

    halves = tmp_path / "halves"
    first = training(halves, workers=workers, stop=how)
    if how == "an error":
        with pytest.raises(InterruptionError):
            first.run()
    else:
        first.run()
    assert states(halves)["last.pt"]["epoch"] == 2
    second = training(halves, workers=workers, resume=True, seed=99)
    second.run()

    assert second.state.epoch == 4
    assert second.state.iteration == whole.state.iteration == 12
    assert_equal(states(halves), states(tmp_path / "whole"))
    assert_equal(dict(second.network.state_dict()), dict(whole.network.state_dict()))
    assert_equal(second.optimizer.state_dict(), whole.optimizer.state_dict())


def test_a_finished_training_continues_when_there_are_to_be_more_epochs(tmp_path: Path) -> None:
    training(tmp_path / "whole").run()
    training(tmp_path / "parts", epochs=2).run()
    training(tmp_path / "parts", epochs=4, resume=True).run()
    assert_equal(states(tmp_path / "parts"), states(tmp_path / "whole"))


def test_a_finished_training_that_is_resumed_stays_as_it_is(tmp_path: Path) -> None:
    training(tmp_path, epochs=2).run()
    before = states(tmp_path)
    training(tmp_path, epochs=2, resume=True, seed=99).run()
    assert_equal(states(tmp_path), before)


def test_the_state_of_a_training_holds_all_that_is_needed_and_no_code(tmp_path: Path) -> None:
    trainer = training(tmp_path, epochs=2)
    trainer.run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "model.pt"]
    last = states(tmp_path)["last.pt"]
    assert set(last) == {
        "network",
        "optimizer",
        "lr_scheduler",
        "epoch",
        "iteration",
        "best_metric",
        "best_metric_epoch",
    }
    assert (last["epoch"], last["iteration"]) == (2, 6)
    assert type(last["best_metric"]) is float
    assert last["best_metric_epoch"] in (1, 2)


class Scripted:
    """A training whose weights say which epoch they are of, and whose scores are given."""

    def __init__(self, folder: Path, scores: list[float] | None, *, epochs: int | None = None, **options: Any) -> None:
        self.network, self.folder = nn.Linear(1, 1), folder
        self.evaluator = ScriptedEvaluator(self.network, scores) if scores else None
        patience = options.pop("patience", None)
        handlers: list[Any] = [self]
        if self.evaluator:
            handlers += [ValidationHandler(1, self.evaluator), EarlyStop(self.evaluator, patience)]
        self.handler = TrainingCheckpoint(folder, {"network": self.network}, evaluator=self.evaluator, **options)
        self.written: list[int] = []
        self.trainer = small_trainer(
            small_network(), [*handlers, self.handler], epochs=epochs or len(scores or ()), cases=2
        )
        self.trainer.add_event_handler("EPOCH_COMPLETED", self.look)

    def attach(self, engine: Any) -> None:
        engine.add_event_handler("EPOCH_COMPLETED", self.mark)

    def mark(self, engine: Any) -> None:
        nn.init.constant_(self.network.weight, engine.state.epoch)

    def look(self, engine: Any) -> None:
        last = self.folder / "last.pt"
        if last.is_file() and torch.load(last, weights_only=True)["epoch"] == engine.state.epoch:
            self.written.append(engine.state.epoch)

    def model_epoch(self) -> float:
        return torch.load(self.folder / "model.pt", weights_only=True)["weight"].item()


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.1, 0.4, 0.3], 2), ([0.5, 0.4, 0.3], 1), ([0.1, 0.2, 0.3], 3), ([0.4, 0.4, 0.4], 1)],
    ids=str,
)
def test_the_weights_of_the_best_epoch_are_kept(scores: list[float], best: int, tmp_path: Path) -> None:
    run = Scripted(tmp_path, scores)
    run.trainer.run()
    assert run.model_epoch() == best
    last = states(tmp_path)["last.pt"]
    assert last["network"]["weight"].item() == 3
    assert (last["best_metric"], last["best_metric_epoch"]) == (scores[best - 1], best)


NAN = float("nan")


@pytest.mark.parametrize(("scores", "best"), [([NAN, 0.1, NAN], 2), ([NAN, 0.1, 0.2], 3), ([0.1, NAN], 1)], ids=str)
def test_an_undefined_metric_is_never_the_best(scores: list[float], best: int, tmp_path: Path) -> None:
    run = Scripted(tmp_path, scores)
    run.trainer.run()
    assert run.model_epoch() == best
    assert states(tmp_path)["last.pt"]["best_metric"] == scores[best - 1]


def test_without_a_finite_metric_the_last_weights_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Scripted(tmp_path, [NAN, NAN])
    run.trainer.run()
    assert run.model_epoch() == 2
    assert "no validation gave a finite metric: model.pt holds the weights of the last epoch" in caplog.text
    run = Scripted(tmp_path, [NAN, NAN, 0.2, 0.1], resume=True)
    run.trainer.run()
    assert run.model_epoch() == 3


def test_a_finished_training_continues_by_the_schedule_of_more_epochs(tmp_path: Path) -> None:
    training(tmp_path).run()
    before = states(tmp_path)["last.pt"]["network"]
    training(tmp_path, epochs=5, scheduled=8, resume=True).run()
    after = states(tmp_path)["last.pt"]["network"]
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_training_does_not_replace_better_weights(tmp_path: Path) -> None:
    Scripted(tmp_path, [0.1, 0.9]).trainer.run()
    run = Scripted(tmp_path, [0.1, 0.9, 0.5, 0.6], resume=True)
    run.trainer.run()
    assert run.model_epoch() == 2
    assert states(tmp_path)["last.pt"]["best_metric"] == 0.9


def test_without_validation_the_last_weights_are_the_result(tmp_path: Path) -> None:
    run = Scripted(tmp_path, None, epochs=3)
    run.trainer.run()
    assert run.model_epoch() == 3
    assert set(states(tmp_path)["last.pt"]) == {"network", "epoch", "iteration"}


def test_an_evaluator_that_never_ran_counts_as_no_validation(tmp_path: Path) -> None:
    run = Scripted(tmp_path, None, epochs=1)
    run.handler.evaluator = ScriptedEvaluator(run.network, [])
    run.trainer.run()
    assert run.model_epoch() == 1


def test_a_training_without_validation_is_resumed_as_well(tmp_path: Path) -> None:
    training(tmp_path / "whole", validate=False).run()
    training(tmp_path / "parts", validate=False, epochs=1).run()
    training(tmp_path / "parts", validate=False, resume=True, seed=99).run()
    assert_equal(states(tmp_path / "parts"), states(tmp_path / "whole"))


def test_the_state_is_written_as_often_as_asked_and_at_the_end(tmp_path: Path) -> None:
    run = Scripted(tmp_path, None, epochs=5, save_every=2)
    run.trainer.run()
    assert run.written == [2, 4, 5]


def test_the_state_is_written_where_a_training_stops_early(tmp_path: Path) -> None:
    run = Scripted(tmp_path, [0.9, 0.1, 0.1, 0.1, 0.1], save_every=4, patience=2)
    run.trainer.run()
    assert run.trainer.state.epoch == 3
    assert run.written == [3]


def test_a_wrapped_network_is_saved_under_its_own_keys(tmp_path: Path) -> None:
    """DistributedDataParallel keeps the network in its attribute ``module``."""
    run = Scripted(tmp_path, None, epochs=1)
    wrapper = nn.Module()
    wrapper.module = run.network
    run.handler.objects["network"] = wrapper
    run.trainer.run()
    assert set(states(tmp_path)["model.pt"]) == {"weight", "bias"}


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ignite.distributed.get_rank", lambda: 1)
    Scripted(tmp_path, None, epochs=1).trainer.run()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_resume_is_logged_and_training_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training(tmp_path / "new", epochs=1, resume=True).run()
    assert f"{tmp_path / 'new' / 'last.pt'} does not exist: nothing to resume, training starts anew" in caplog.text
    training(tmp_path / "other", epochs=1).run()
    assert_equal(states(tmp_path / "new"), states(tmp_path / "other"))


def test_resuming_is_logged_with_the_epoch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    training(tmp_path, epochs=1).run()
    training(tmp_path, epochs=2, resume=True).run()
    assert f"resumed from {tmp_path / 'last.pt'} at epoch 1 of 2" in caplog.text


def test_the_state_of_another_network_is_refused_by_its_name(tmp_path: Path) -> None:
    training(tmp_path, epochs=1).run()
    with pytest.raises(ValueError, match=r"(?s)last.pt does not fit this configuration.*size mismatch") as caught:
        training(tmp_path, epochs=2, resume=True, channels=5).run()
    assert str(tmp_path / "last.pt") in str(caught.value)


@pytest.mark.parametrize("missing", ["optimizer", "best_metric", "iteration"])
def test_a_state_that_lacks_something_is_refused(missing: str, tmp_path: Path) -> None:
    training(tmp_path, epochs=1).run()
    last = states(tmp_path)["last.pt"]
    del last[missing]
    torch.save(last, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=f"last.pt does not fit this configuration.*'{missing}'"):
        training(tmp_path, epochs=2, resume=True).run()


def test_weights_in_the_place_of_a_state_are_refused(tmp_path: Path) -> None:
    torch.save(small_network().state_dict(), tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last.pt does not fit this configuration.*'network'"):
        training(tmp_path, epochs=2, resume=True).run()


def test_a_state_beyond_the_end_of_the_run_is_refused(tmp_path: Path) -> None:
    training(tmp_path, epochs=3).run()
    with pytest.raises(ValueError, match=r"last.pt is at epoch 3, beyond epochs=2; raise --epochs"):
        training(tmp_path, epochs=2, resume=True).run()


def test_a_damaged_last_checkpoint_is_reported_by_name(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    trainer = small_trainer(small_network(), [TrainingCheckpoint(tmp_path, {}, resume=True)])
    with pytest.raises(ValueError, match=r"last\.pt is damaged or no checkpoint; start anew without --resume"):
        trainer.run()
