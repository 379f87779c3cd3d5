"""Exponential moving average of the weights of a training."""

from __future__ import annotations

from typing import Any

from ignite.handlers import EMAHandler
from monai.engines import Workflow
from torch import nn


class WeightAverage:
    """Keep the exponential moving average of a network's weights, by Ignite's ``EMAHandler``.

    The average of the last steps is usually better than the last step. Validation and
    :class:`bundle.training.TrainingCheckpoint` use :attr:`network`. Without a momentum that is the trained network.

    Args:
        network: network that is trained.
        momentum: share of the newest weights in the average, in (0, 1), such as 0.002; None for no average.
        warmup: iterations in which the momentum falls from 0.2 to ``momentum``, so that it forgets the first weights.

    Attributes:
        network: network with the averaged weights.

    Raises:
        ValueError: when the momentum is out of range.

    Examples:
        >>> WeightAverage(nn.Linear(2, 1), momentum=0.01).network.training
        False
    """

    def __init__(self, network: nn.Module, *, momentum: float | None = None, warmup: int = 100) -> None:
        if momentum is not None and not 0 < momentum < 1:
            raise ValueError(f"weight_average must lie between 0 and 1 or be null, got {momentum}.")
        self.handler = (
            None if momentum is None else EMAHandler(network, momentum, momentum_warmup=0.2, warmup_iters=warmup)
        )
        self.network: nn.Module = network if self.handler is None else self.handler.ema_model

    @property
    def enabled(self) -> bool:
        """Whether there is an average besides the trained network."""
        return self.handler is not None

    def attach(self, engine: Workflow) -> None:
        """Update the average after every iteration."""
        if self.handler is not None:
            self.handler.attach(engine)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the averaged weights."""
        self.network.load_state_dict(state)
