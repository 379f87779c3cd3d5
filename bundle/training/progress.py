"""Progress of a complete run: a bar with the time left, on a terminal."""

from __future__ import annotations

from ignite.engine import Events
from monai.engines import Workflow
from monai.utils import CommonKeys
from tqdm import tqdm


class Progress:
    """Show how far a trainer or evaluator is.

    Args:
        enabled: False to do nothing, e.g. on all processes but the first.
        unit: what one iteration is called.
    """

    def __init__(self, *, enabled: bool = True, unit: str = "step") -> None:
        self.enabled, self.unit = enabled, unit

    def attach(self, engine: Workflow) -> None:
        """Follow the run of ``engine``; attach after the handler that resumes."""
        if self.enabled:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
            engine.add_event_handler(Events.COMPLETED, lambda _: self._bar.close())

    def _start(self, engine: Workflow) -> None:
        state = engine.state
        length = state.epoch_length
        total = length * (state.max_epochs - state.epoch) if length else None
        self._bar = tqdm(total=total, unit=self.unit, disable=None, dynamic_ncols=True)

    def _step(self, engine: Workflow) -> None:
        output = engine.state.output
        loss = output[0].get(CommonKeys.LOSS) if isinstance(output, list) and output else None
        if loss is not None:
            self._bar.set_postfix(epoch=engine.state.epoch, loss=f"{float(loss):.4f}", refresh=False)
        self._bar.update()
