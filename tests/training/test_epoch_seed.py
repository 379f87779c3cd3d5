"""What an epoch draws depends on the seed, the epoch and the process, and on nothing before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.trainings import small_network, small_trainer
from monai.transforms import Compose, RandGaussianNoised

from bundle.training import EpochSeed


def draws(seed: int = 0, *, epochs: int = 3, rank: int = 0, disturb: int = 0) -> list[tuple[Any, ...]]:
    """Return what PyTorch and a transform draw in every epoch; ``disturb`` draws more in between."""
    transform = Compose([RandGaussianNoised("image", prob=1.0)])
    trainer = small_trainer(small_network(), [EpochSeed(seed, transform, rank=rank)], epochs=epochs)
    found = []

    def draw(_: Any) -> None:
        image = transform({"image": torch.zeros(1, 2, 2, 2)})["image"]
        found.append((*torch.rand(2).tolist(), *image.flatten().tolist()))

    trainer.add_event_handler("EPOCH_STARTED", draw)
    trainer.add_event_handler("EPOCH_COMPLETED", lambda _: torch.rand(disturb))
    trainer.run()
    return found


def test_an_epoch_draws_the_same_whatever_was_drawn_before_it() -> None:
    assert draws(disturb=0) == draws(disturb=7)


def test_every_epoch_seed_and_process_draws_otherwise() -> None:
    found = [*draws(0), *draws(1), *draws(0, rank=1), *draws(2**31)]
    assert len(set(found)) == len(found) == 12


@pytest.mark.parametrize("seed", [0, 2**40])
def test_any_seed_is_one_that_numpy_takes(seed: int) -> None:
    assert len(draws(seed, epochs=1)) == 1
