"""Tiny trainings and evaluations for tests of handlers: two voxels' worth of network, a second of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from helpers.phantoms import ball, noise
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import MeanDice, from_engine
from monai.losses import DiceCELoss
from monai.transforms import AsDiscreted, Compose, RandFlipd, RandGaussianNoised
from torch import nn


def small_network(seed: int = 0, channels: int = 4) -> nn.Module:
    """Return two convolutions with dropout between them."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(1, channels, 3, padding=1), nn.Dropout3d(0.3), nn.PReLU(), nn.Conv3d(channels, 3, 1))


def small_cases(count: int = 5) -> list[dict[str, torch.Tensor]]:
    """Return noisy balls of two classes."""
    label = torch.as_tensor(ball((8, 8, 8), 3))[None]
    return [
        {"image": label + 0.3 * torch.as_tensor(noise((1, 8, 8, 8), seed)), "label": label} for seed in range(count)
    ]


def random_transforms() -> Compose:
    """Return transforms that draw from their random state."""
    return Compose(
        [RandFlipd(["image", "label"], prob=0.5, spatial_axis=0), RandGaussianNoised("image", prob=0.8, std=0.2)]
    )


def small_trainer(
    network: nn.Module,
    handlers: Sequence[Any] = (),
    *,
    optimizer: torch.optim.Optimizer | None = None,
    epochs: int = 1,
    transform: Callable[..., Any] | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    workers: int = 0,
    cases: int = 5,
) -> SupervisedTrainer:
    """Return MONAI's trainer on noisy balls, two per batch."""
    dataset = Dataset(small_cases(cases), transform)
    return SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, num_workers=workers, batch_size=2, shuffle=True),
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=0.01) if optimizer is None else optimizer,
        loss_function=DiceCELoss(to_onehot_y=True, softmax=True) if loss is None else loss,
        train_handlers=list(handlers),
    )


def small_evaluator(network: nn.Module) -> SupervisedEvaluator:
    """Return MONAI's evaluator with mean Dice as its key metric."""
    return SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(small_cases(2)), batch_size=1),
        network=network,
        postprocessing=AsDiscreted(["pred", "label"], argmax=[True, False], to_onehot=3),
        key_val_metric={"dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))},
    )


class CountingLoss(nn.Module):
    """A loss of 1, 2, 3, ... in the steps of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0

    def forward(self, pred: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.step += 1
        return pred.sum() * 0 + self.step


class ScriptedEvaluator(SupervisedEvaluator):
    """An evaluator whose key metric is given for every epoch."""

    def __init__(self, network: nn.Module, scores: Sequence[float]) -> None:
        super().__init__(
            device="cpu", val_data_loader=DataLoader(Dataset(small_cases(1)), batch_size=1), network=network
        )
        self.scores = scores

    def run(self, global_epoch: int = 1) -> None:
        """Count this epoch's score as MONAI counts a key metric."""
        score = self.scores[global_epoch - 1]
        self.state.epoch = global_epoch
        self.state.metrics["dice"] = score
        if self.state.best_metric_epoch == -1 or self.metric_cmp_fn(score, self.state.best_metric):
            self.state.best_metric, self.state.best_metric_epoch = score, global_epoch
