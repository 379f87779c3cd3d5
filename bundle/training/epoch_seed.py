"""Randomness that depends on the epoch alone."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Workflow


class EpochSeed:
    """Seed PyTorch and the random transforms at the start of every epoch from the seed and the epoch's number.

    What an epoch draws then does not depend on the epochs before it, so that a resumed training draws the same as an
    uninterrupted one.

    Args:
        seed: seed of the run.
        transform: random transforms, with ``set_random_state``.
        rank: number of this process; the processes of a distributed run draw differently.
    """

    def __init__(self, seed: int, transform: Any, *, rank: int = 0) -> None:
        self.seed, self.transform, self.rank = seed, transform, rank

    def attach(self, engine: Workflow) -> None:
        """Seed before every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Seed for the epoch that starts."""
        seed = (self.seed * 1_000_003 + engine.state.epoch * 1009 + self.rank) % 2**32
        torch.manual_seed(seed)
        self.transform.set_random_state(seed=seed)
