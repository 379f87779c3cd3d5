"""Guard against non-finite losses and gradients."""

from __future__ import annotations

import logging
import math

import ignite.distributed as idist
import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

logger = logging.getLogger(__name__)


class NonFiniteError(RuntimeError):
    """Losses or gradients stayed NaN or infinite for too many steps in a row."""


class NonFiniteGuard:
    """Skip the optimizer step when the loss or a gradient is not finite, and stop when that persists.

    The gradients of a skipped step are dropped before the optimizer sees them, so that neither weights nor moments
    change. The guard looks at the norm of all gradients, which clipping needs anyway. Under distributed training all
    processes skip together.

    Args:
        max_norm: clip the norm of the gradients to this; None for no clipping.
        patience: skipped steps in a row after which the run stops.
    """

    def __init__(self, *, max_norm: float | None = None, patience: int = 10) -> None:
        self.max_norm = math.inf if max_norm is None else max_norm
        self.patience = patience
        self.skipped = 0
        self.in_a_row = 0

    def attach(self, engine: SupervisedTrainer) -> None:
        """Look at every step of a MONAI trainer between backward and optimizer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Clip the gradients, or drop them.

        Raises:
            NonFiniteError: after ``patience`` skipped steps in a row.
        """
        norm = torch.nn.utils.clip_grad_norm_(engine.network.parameters(), self.max_norm)
        bad = not bool(torch.isfinite(norm) & torch.isfinite(engine.state.output[CommonKeys.LOSS]).all())
        if idist.get_world_size() > 1:
            bad = bool(idist.all_reduce(float(bad), "MAX"))
        self.in_a_row = self.in_a_row + 1 if bad else 0
        if not bad:
            return
        self.skipped += 1
        engine.optimizer.zero_grad(set_to_none=True)
        step = f"step {engine.state.iteration} (epoch {engine.state.epoch})"
        logger.warning("%s is skipped: loss or gradient is not finite (%d skipped so far)", step, self.skipped)
        if self.in_a_row >= self.patience:
            raise NonFiniteError(
                f"{step}: loss or gradient was not finite in {self.in_a_row} steps in a row; weights saved shortly "
                "before may have diverged too. Try --amp false or a smaller --learning_rate, look at the intensities."
            )
