"""Progress of a complete run: a bar with the time left on a terminal, one line per epoch in the log."""

from __future__ import annotations

import logging
import math
import time

from ignite.engine import Events
from monai.engines import Evaluator, Workflow
from monai.utils import CommonKeys
from tqdm import tqdm

logger = logging.getLogger(__name__)


class Progress:
    """Show how far a trainer or evaluator is.

    Args:
        evaluator: evaluator whose metrics belong into the line of an epoch.
        enabled: False to do nothing, e.g. on all processes but the first.
        unit: what one iteration is called.
    """

    def __init__(self, *, evaluator: Evaluator | None = None, enabled: bool = True, unit: str = "step") -> None:
        self.evaluator, self.enabled, self.unit = evaluator, enabled, unit
        self._losses: list[float] = []
        self._started = 0.0
        self._first_epoch = 0

    def attach(self, engine: Workflow) -> None:
        """Follow the run of ``engine``; attach after the handlers that resume or validate."""
        if self.enabled:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)
            engine.add_event_handler(Events.COMPLETED, lambda _: self._bar.close())

    def _start(self, engine: Workflow) -> None:
        state = engine.state
        length = state.epoch_length
        total = length * (state.max_epochs - state.epoch) if length else None
        self._bar = tqdm(total=total, unit=self.unit, disable=None, dynamic_ncols=True)
        self._started, self._first_epoch = time.monotonic(), state.epoch

    def _step(self, engine: Workflow) -> None:
        output = engine.state.output
        loss = output[0].get(CommonKeys.LOSS) if isinstance(output, list) and output else None
        if loss is not None:
            self._losses += [float(loss)] if math.isfinite(loss) else []
            self._bar.set_postfix(epoch=engine.state.epoch, loss=f"{float(loss):.4f}", refresh=False)
        self._bar.update()

    def _report(self, engine: Workflow) -> None:
        if not self._losses:
            return
        state = engine.state
        seconds = time.monotonic() - self._started
        left = seconds / (state.epoch - self._first_epoch) * (state.max_epochs - state.epoch)
        parts = [f"loss {sum(self._losses) / len(self._losses):.4f}"]
        if self.evaluator is not None:
            parts += [f"{name} {float(value):.4f}" for name, value in self.evaluator.state.metrics.items()]
            if self.evaluator.state.best_metric_epoch > 0:
                parts += [f"best {float(self.evaluator.state.best_metric):.4f}"]
        logger.info(
            "epoch %d/%d: %s, %.0f s so far, about %.0f s left",
            state.epoch,
            state.max_epochs,
            ", ".join(parts),
            seconds,
            left,
        )
        self._losses.clear()
