"""Class weights by the Dice of the last epoch, against the definition."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from helpers.trainings import small_network, small_trainer
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.losses import DeepSupervisionLoss
from torch import nn

from bundle.losses import SegmentationLoss
from bundle.training import ClassReweighting, TrainingCheckpoint
from bundle.training.reweighting import _counts, structure_weights


def weighted_loss(**options: Any) -> DeepSupervisionLoss:
    return DeepSupervisionLoss(SegmentationLoss("dice_weighted_ce", class_weights="epoch", **options))


class Recorder:
    """Keeps the logits and labels of all steps."""

    def __init__(self) -> None:
        self.steps: list[tuple[torch.Tensor, torch.Tensor]] = []

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        output = engine.state.output
        self.steps.append((output["pred"].detach().clone(), torch.as_tensor(output["label"]).clone()))


def test_weights_are_those_of_the_definition() -> None:
    dice = [0.9, 0.5, 0.7]
    low = 0.5 - 0.05
    expected = [(0.7 - low) / (value - low) for value in dice]
    assert structure_weights(dice) == pytest.approx(expected)
    assert structure_weights(dice)[1] == pytest.approx(5.0)


def test_structures_of_which_nothing_is_known_weigh_one() -> None:
    assert structure_weights([np.nan, 0.5]) == pytest.approx([1.0, 1.0])
    assert structure_weights([np.nan, np.nan]) == [1.0, 1.0]


def test_after_an_epoch_badly_found_classes_weigh_more_and_the_background_still_counts() -> None:
    loss, recorder = weighted_loss(), Recorder()
    small_trainer(small_network(), [recorder, ClassReweighting(loss)], loss=loss).run()
    found = torch.cat([logits.argmax(1) for logits, _ in recorder.steps])
    true = torch.cat([label[:, 0] for _, label in recorder.steps])
    dice = [
        2 * float(((found == c) & (true == c)).sum()) / float((found == c).sum() + (true == c).sum()) for c in (1, 2)
    ]
    low = min(dice) - 0.05
    expected = [1.0] + [(sum(dice) / 2 - low) / (value - low) for value in dice]
    assert loss.loss.class_weights.tolist() == pytest.approx(expected, rel=1e-6)


def test_regions_have_their_own_weights_and_no_background() -> None:
    loss, recorder = weighted_loss(regions={"whole": [1, 2], "upper": [2]}), Recorder()
    network = nn.Sequential(small_network(), nn.Conv3d(3, 2, 1))
    small_trainer(network, [recorder, ClassReweighting(loss)], loss=loss).run()
    found = torch.cat([logits > 0 for logits, _ in recorder.steps])
    true = torch.cat([torch.cat([label >= 1, label >= 2], 1) for _, label in recorder.steps])
    total = found.sum((0, 2, 3, 4)) + true.sum((0, 2, 3, 4))
    dice = (2 * (found & true).sum((0, 2, 3, 4)) / total).tolist()
    assert loss.loss.class_weights.tolist() == pytest.approx(structure_weights(dice), rel=1e-6)


def test_a_network_with_deep_supervision_is_judged_by_its_finest_level() -> None:
    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_network()

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            y = self.body(x)
            return [y, nn.functional.avg_pool3d(y, 2)]

    loss = weighted_loss()
    small_trainer(Levels(), [ClassReweighting(loss)], loss=loss).run()
    assert len(loss.loss.class_weights) == 3


def test_other_losses_are_left_alone() -> None:
    for loss in (SegmentationLoss(), DeepSupervisionLoss(SegmentationLoss("focal")), torch.dist):
        handler = ClassReweighting(loss)
        trainer = small_trainer(small_network(), [handler])
        assert not trainer.has_event_handler(handler.update, Events.EPOCH_COMPLETED)
        assert handler.state_dict() == {"class_weights": None}


def test_an_epoch_without_steps_changes_nothing() -> None:
    loss = weighted_loss()
    handler = ClassReweighting(loss)
    trainer = small_trainer(small_network(), [handler], loss=loss)
    handler.update(trainer)
    assert loss.loss.class_weights is None


def test_a_resumed_training_continues_with_the_same_weights(tmp_path: Path) -> None:
    def train(folder: Path, epochs: int, resume: bool) -> torch.Tensor:
        loss, network = weighted_loss(), small_network()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        handler = ClassReweighting(loss)
        objects = {"network": network, "optimizer": optimizer, "reweighting": handler}
        checkpoint = TrainingCheckpoint(folder, objects, resume=resume)
        trainer = small_trainer(network, [handler, checkpoint], optimizer=optimizer, epochs=epochs, loss=loss)
        trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: torch.manual_seed(engine.state.epoch))
        trainer.run()
        return loss.loss.class_weights

    whole = train(tmp_path / "whole", 3, resume=False)
    train(tmp_path / "parts", 2, resume=False)
    assert torch.equal(train(tmp_path / "parts", 3, resume=True), whole)


def test_the_weights_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    loss = weighted_loss()
    with caplog.at_level(logging.INFO):
        small_trainer(small_network(), [ClassReweighting(loss)], loss=loss).run()
    assert "class weights after epoch 1: 1, " in caplog.text


def test_processes_share_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    monkeypatch.setattr(idist, "all_reduce", lambda counts: counts + torch.tensor([[90, 0], [90, 0], [90, 0.0]]))
    loss = weighted_loss()
    handler = ClassReweighting(loss)
    trainer = small_trainer(small_network(), [handler], loss=loss)
    handler._counts = torch.tensor([[5, 5], [10, 10], [10, 10.0]], dtype=torch.float64)
    handler.update(trainer)
    assert loss.loss.class_weights.tolist() == pytest.approx([1.0, *structure_weights([0.95, 0.5])])


@pytest.mark.parametrize("regions", [None, [[1, 2], [2]]])
def test_ignored_voxels_do_not_count(regions: list | None) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3 if regions is None else 2, 4, 4, 4, generator=generator)
    label = torch.randint(0, 3, (2, 1, 4, 4, 4), generator=generator).float()
    expected = _counts(logits[:, :, 2:], label[:, :, 2:], regions)
    label[:, :, :2] = -1
    torch.testing.assert_close(_counts(logits, label, regions), expected)
