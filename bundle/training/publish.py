"""Weights of a training to where they are served from."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Events
from monai.engines import Workflow

from bundle.utils.atomic_write import atomic_write

logger = logging.getLogger(__name__)


class PublishWeights:
    """Copy the weights that a training has chosen over those that are in use, once it has ended well.

    Attach it after :class:`bundle.training.TrainingCheckpoint`, which chooses the weights. The file is replaced in one
    step: who loads it meanwhile has the old weights or the new ones. A training that fails or is cut off leaves it
    alone.

    Args:
        source: weights of the training, ``model.pt`` in its ``output_dir``.
        target: file to replace; None or ``""`` for none.
    """

    def __init__(self, source: str | Path, target: str | Path | None) -> None:
        self.source, self.target = Path(str(source)), Path(str(target)) if target else None

    def attach(self, engine: Workflow) -> None:
        """Follow ``engine`` to its end."""
        if self.target is not None and idist.get_rank() == 0:
            engine.add_event_handler(Events.COMPLETED, self._publish, self.target)

    def _publish(self, _: Workflow, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as file:
            shutil.copyfile(self.source, file)
        logger.info("weights of the training in %s", target)
