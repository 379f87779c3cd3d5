"""Learning-rate schedules with warm-up."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

SCHEDULES = ("cosine", "poly", "step", "constant")

STEP_EPOCHS = 10
"""Epochs after which ``"step"`` takes a tenth of the rate, as AttentionBased-MIS does by default."""


class WarmupSchedule(LambdaLR):
    """Raise the learning rate linearly over the first epochs, then let it fall to zero; step it once an epoch.

    Args:
        optimizer: optimizer whose learning rate is the highest one.
        name: ``"cosine"``, ``"poly"`` (the exponent 0.9 of the segmentation literature), ``"step"`` (a tenth every ten
            epochs behind the warm-up) or ``"constant"``.
        epochs: epochs of the whole run.
        warmup: epochs of the warm-up.

    Raises:
        ValueError: when the name is unknown.
    """

    def __init__(self, optimizer: Optimizer, name: str, epochs: int, warmup: int = 0) -> None:
        if name not in SCHEDULES:
            raise ValueError(f"lr_schedule must be one of {', '.join(SCHEDULES)}, got {name!r}.")

        def factor(epoch: int) -> float:
            if epoch < warmup:
                return (epoch + 1) / (warmup + 1)
            done = min((epoch - warmup) / max(epochs - warmup, 1), 1.0)
            return {
                "cosine": (1 + math.cos(math.pi * done)) / 2,
                "poly": (1 - done) ** 0.9,
                "step": 0.1 ** ((epoch - warmup) // STEP_EPOCHS),
                "constant": 1.0,
            }[name]

        super().__init__(optimizer, factor)
