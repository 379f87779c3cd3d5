"""Learning-rate schedules with warm-up."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["cosine", "poly", "step", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

STEP_EPOCHS = 10
"""Epochs after which ``"step"`` takes a tenth of the rate, as AttentionBased-MIS does by default."""


class WarmupSchedule(LambdaLR):
    """Increase the learning rate linearly over the first epochs, then decrease it to zero; step it once per epoch.

    Args:
        optimizer: optimizer whose learning rate is the highest one.
        name: ``"cosine"``, ``"poly"`` (the exponent 0.9 of the segmentation literature), ``"step"`` (a tenth every ten
            epochs after the warm-up) or ``"constant"``.
        epochs: epochs of the complete run.
        warmup: epochs of the warm-up.

    Raises:
        ValueError: when the name is unknown, or there is no epoch.

    Examples:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> schedule = WarmupSchedule(optimizer, "cosine", epochs=10, warmup=1)
        >>> schedule.get_last_lr()
        [0.05]
    """

    def __init__(self, optimizer: Optimizer, name: Schedule, epochs: int, warmup: int = 0) -> None:
        if name not in SCHEDULES:
            raise ValueError(f"lr_schedule must be one of {', '.join(SCHEDULES)}, got {name!r}.")
        if epochs < 1:
            raise ValueError(f"epochs must be 1 or more, got {epochs}.")

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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at the epoch of a state, with the rates of this schedule.

        The state may come from a shorter run, which ended at a rate of 0, or from one with another learning rate.
        """
        super().load_state_dict({**state_dict, "base_lrs": self.base_lrs})
        rates = [rate * factor(self.last_epoch) for rate, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)]
        for group, rate, base in zip(self.optimizer.param_groups, rates, self.base_lrs, strict=True):
            group["lr"], group["initial_lr"] = rate, base
        self._last_lr = rates
