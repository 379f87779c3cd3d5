"""Checkpoints of a training: the best weights, and the complete state to resume from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import Evaluator, Workflow

from bundle.utils.atomic_write import atomic_write
from bundle.utils.parse_bool import parse_bool

from .best_metric import prefer_finite
from .model_record import ModelRecord
from .training_settings import LAST, SETTINGS, TrainingSettings, read_training_state

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Write ``model.pt`` and ``last.pt`` after every epoch, and resume from ``last.pt``.

    ``model.pt`` holds the weights alone, of the epoch whose validation was best so far; it is written at the end where
    no validation took place or none gave a finite metric. ``last.pt`` holds the state of all ``objects``, the epoch and
    the best metric. Attach the handler after validation. Both files are replaced in one step, so that an interrupted
    run leaves complete files.

    Args:
        save_dir: folder to write to; made when missing.
        objects: what has a ``state_dict``, by name; the weights of ``"network"`` go to ``model.pt``, or those of
            ``"average"``, a :class:`bundle.training.WeightAverage`, if it is enabled.
        evaluator: evaluator that validates; its best metric decides and is resumed.
        resume: resume from ``last.pt`` in ``save_dir``; without one, start a new training and log it.
        save_every: epochs between two writings of ``last.pt``; the last epoch is always written.
        settings: settings to store in ``last.pt``, which a resumed training is compared with; None for none.
        record: writes ``model.json`` with every ``model.pt``; None for none.
    """

    def __init__(
        self,
        save_dir: str | Path,
        objects: Mapping[str, Any],
        *,
        evaluator: Evaluator | None = None,
        resume: bool | str = False,
        save_every: int = 1,
        settings: TrainingSettings | None = None,
        record: ModelRecord | None = None,
    ) -> None:
        self.save_dir = Path(save_dir)
        self.objects = {name: item for name, item in objects.items() if getattr(item, "enabled", True)}
        self.settings, self.record = settings, record
        self.evaluator, self.resume, self.save_every = evaluator, parse_bool("resume", resume), save_every

    def attach(self, engine: Workflow) -> None:
        """Resume at the start of the run, save after every epoch and at the end."""
        if self.evaluator is not None:
            prefer_finite(self.evaluator)
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
            engine.add_event_handler(Events.COMPLETED, self.finish)

    def load(self, engine: Workflow) -> None:
        """Bring ``objects``, epoch and best metric to the state of ``last.pt``.

        Raises:
            ValueError: when the file is of another network, or of more epochs than the run is to have.
        """
        path = self.save_dir / LAST
        if not path.is_file():
            logger.warning("%s does not exist: nothing to resume, training starts anew", path)
            return
        state = read_training_state(path, engine.state.device)
        if state.get("epoch", 0) > engine.state.max_epochs:
            raise ValueError(
                f"{path} is at epoch {state['epoch']}, beyond epochs={engine.state.max_epochs}; raise --epochs."
            )
        try:
            for name, item in self._bare().items():
                item.load_state_dict(state[name])
            engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
            if self.evaluator is not None:
                self.evaluator.state.best_metric = state["best_metric"]
                self.evaluator.state.best_metric_epoch = max(state["best_metric_epoch"], 0)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{path} does not fit this configuration, resume with the one it was made by: {error}"
            ) from error
        logger.info("resumed from %s at epoch %d of %d", path, state["epoch"], engine.state.max_epochs)

    def save(self, engine: Workflow) -> None:
        """Write ``model.pt`` if this epoch was the best, and ``last.pt`` if it is due."""
        if self.evaluator is not None and self.evaluator.state.best_metric_epoch == engine.state.epoch:
            self._write_model(engine)
        last = engine.state.epoch == engine.state.max_epochs or bool(engine.should_terminate)
        if last or engine.state.epoch % self.save_every == 0:
            self._write_last(engine)

    def finish(self, engine: Workflow) -> None:
        """Write the last weights as ``model.pt`` where no validation has chosen any."""
        if self.evaluator is not None and self.evaluator.state.best_metric_epoch < 1 and self.evaluator.state.metrics:
            logger.warning("no validation gave a finite metric: model.pt holds the weights of the last epoch")
        if self.evaluator is None or self.evaluator.state.best_metric_epoch < 1:
            self._write_model(engine)

    def _write_model(self, engine: Workflow) -> None:
        self._write(self._weights(), "model.pt")
        if self.record is not None:
            self.record.write(engine.state.epoch, self.evaluator)

    def _write_last(self, engine: Workflow) -> None:
        state: dict[str, Any] = {name: item.state_dict() for name, item in self._bare().items()}
        state.update(epoch=engine.state.epoch, iteration=engine.state.iteration)
        if self.evaluator is not None:
            best = self.evaluator.state
            state.update(best_metric=float(best.best_metric), best_metric_epoch=int(best.best_metric_epoch))
        if self.settings is not None:
            state[SETTINGS] = self.settings.described
        self._write(state, LAST)

    def _weights(self) -> dict[str, Any]:
        return self._bare()["average" if "average" in self.objects else "network"].state_dict()

    def _bare(self) -> dict[str, Any]:
        return {name: getattr(item, "module", item) for name, item in self.objects.items()}

    def _write(self, state: Mapping[str, Any], name: str) -> None:
        self.save_dir.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.save_dir / name) as file:
            torch.save(state, file)
