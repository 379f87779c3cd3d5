"""Early stopping."""

from __future__ import annotations

import logging

from ignite.engine import Events
from monai.engines import Evaluator, Workflow

from bundle.utils.processes import decided_by_first

logger = logging.getLogger(__name__)


class EarlyStop:
    """End a training when validation has not improved for a number of epochs.

    It reads the best epoch from the evaluator and has no state, so that a resumed run stops where an
    uninterrupted one would (one that had stopped already runs one epoch more). Of several processes the first decides
    for all.

    Args:
        evaluator: evaluator that validates; attach this handler after the validation.
        patience: epochs without improvement; None never stops.

    Examples:
        Stop a trainer of MONAI 20 epochs after the best validation::

            EarlyStop(evaluator, patience=20).attach(trainer)
    """

    def __init__(self, evaluator: Evaluator, patience: int | None) -> None:
        self.evaluator, self.patience = evaluator, patience

    def attach(self, engine: Workflow) -> None:
        """Check after every epoch of the trainer."""
        if self.patience is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Terminate the trainer when patience is over."""
        best = self.evaluator.state.best_metric_epoch
        is_over = best > 0 and self.patience is not None and engine.state.epoch - best >= self.patience
        if decided_by_first(is_over):
            logger.info("stopping after epoch %d: no improvement since epoch %d", engine.state.epoch, best)
            engine.terminate()
