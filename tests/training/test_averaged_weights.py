"""Averages of weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.trainings import small_network, small_trainer

from bundle.training import TrainingCheckpoint, WeightAverage


def train(folder: Path, *, momentum: float | None, epochs: int, resume: bool = False) -> WeightAverage:
    network = small_network(0)
    average = WeightAverage(network, momentum=momentum, warmup=4)
    objects = {"network": network, "average": average}
    checkpoint = TrainingCheckpoint(folder, objects, resume=resume)
    small_trainer(network, [average, checkpoint], epochs=epochs).run()
    return average


def test_the_average_follows_the_weights_by_its_momentum() -> None:
    network = torch.nn.Linear(2, 1)
    average = WeightAverage(network, momentum=0.1, warmup=3)
    expected = network.weight.detach().clone()
    trainer = small_trainer(small_network(0), [average], epochs=2)
    momenta = []

    def change(engine: object) -> None:
        with torch.no_grad():
            network.weight.add_(1.0)

    trainer.add_event_handler("ITERATION_STARTED", change)

    def follow(engine: object) -> None:
        momenta.append(trainer.state.ema_momentum)
        expected.mul_(1 - momenta[-1]).add_(network.weight.detach(), alpha=momenta[-1])

    trainer.add_event_handler("ITERATION_COMPLETED", follow)
    trainer.run()
    torch.testing.assert_close(average.network.weight, expected)
    assert momenta[-1] == pytest.approx(0.1)
    assert momenta[0] > 0.1


def test_the_averaged_weights_are_those_of_the_model_file(tmp_path: Path) -> None:
    average = train(tmp_path, momentum=0.05, epochs=2)
    states = torch.load(tmp_path / "last.pt", weights_only=True)
    model = torch.load(tmp_path / "model.pt", weights_only=True)
    for name, weight in average.network.state_dict().items():
        assert torch.equal(model[name], weight)
        assert torch.equal(states["average"][name], weight)
    assert any(not torch.equal(model[name], states["network"][name]) for name in model)


def test_a_resumed_training_has_the_average(tmp_path: Path) -> None:
    train(tmp_path, momentum=0.05, epochs=2)
    before = torch.load(tmp_path / "model.pt", weights_only=True)
    average = train(tmp_path, momentum=0.05, epochs=2, resume=True)
    for name, weight in average.network.state_dict().items():
        assert torch.equal(before[name], weight)


def test_without_a_momentum_the_trained_network_is_the_model(tmp_path: Path) -> None:
    average = train(tmp_path, momentum=None, epochs=1)
    assert average.handler is None
    assert "average" not in torch.load(tmp_path / "last.pt", weights_only=True)


@pytest.mark.parametrize("momentum", [0.0, 1.0, -0.1])
def test_a_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="weight_average must lie between 0 and 1 or be null"):
        WeightAverage(small_network(0), momentum=momentum)
