"""Class weights that follow what a training has learned: every epoch, badly found classes weigh more in the next one.

Source: ``--use_Adaboost`` of the original project of the Progressive Attention Module. After an epoch the Dice ``d_c``
of every structure c on the training set gives the weight ``(median(d) - m) / (d_c - m)`` with ``m = min(d) - 0.05`` of
the voxels of that structure in the cross-entropy. Differs from it: the background keeps the weight 1 (there it has 0,
so that nothing keeps a structure from growing into it), and the Dice is that of all voxels that an epoch has seen, as
patches often lack a structure.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Workflow
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys
from torch import nn

from bundle.losses.segmentation_loss import SegmentationLoss, region_masks

logger = logging.getLogger(__name__)

MARGIN = 0.05
"""How far below the worst Dice a weight would be infinite."""


class ClassReweighting:
    """Set the class weights of a loss after every epoch of a trainer.

    Does nothing where the loss does not ask for it (:class:`bundle.losses.SegmentationLoss` with the class weights
    ``"epoch"``). Attach it before the checkpoint handler, and let it save this one, so that a resumed training
    continues with the same weights.

    Args:
        loss: the loss of the trainer, which may be inside another one, as in MONAI's ``DeepSupervisionLoss``.
    """

    def __init__(self, loss: Any) -> None:
        losses = list(loss.modules()) if isinstance(loss, nn.Module) else []
        self.losses = [part for part in losses if isinstance(part, SegmentationLoss) and part.each_epoch]
        self._counts: torch.Tensor | None = None

    def attach(self, engine: Workflow) -> None:
        """Follow the training steps of ``engine``."""
        if self.losses:
            engine.add_event_handler(Events.EPOCH_STARTED, self.start)
            engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self.count)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.update)

    def start(self, _: Workflow) -> None:
        """Forget the counts of the last epoch."""
        self._counts = None

    def count(self, engine: Workflow) -> None:
        """Count the voxels of a step: both, predicted and true of every structure."""
        pred, label = engine.state.output[CommonKeys.PRED], engine.state.output[CommonKeys.LABEL]
        logits = pred[0] if isinstance(pred, list | tuple) else pred
        counts = _counts(logits.detach(), label, self.losses[0].regions)
        self._counts = counts if self._counts is None else self._counts + counts

    def update(self, engine: Workflow) -> None:
        """Set the weights for the next epoch."""
        if self._counts is None:
            return
        counts = idist.all_reduce(self._counts) if idist.get_world_size() > 1 else self._counts
        both, found, true = torch.as_tensor(counts).cpu().numpy()
        total = found + true
        dice = np.divide(2 * both, total, out=np.full(len(total), np.nan), where=total > 0)
        kept = [1.0] if self.losses[0].regions is None else []
        weights = [*kept, *structure_weights(dice)]
        text = ", ".join(f"{weight:.3g}" for weight in weights)
        logger.info("class weights after epoch %d: %s", engine.state.epoch, text)
        self._set(torch.tensor(weights, dtype=torch.float32))

    def state_dict(self) -> dict[str, Any]:
        """Return the weights in use, None where there are none yet."""
        return {"class_weights": self.losses[0].class_weights if self.losses else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the weights of :meth:`state_dict`."""
        self._set(state["class_weights"])

    def _set(self, weights: torch.Tensor | None) -> None:
        for loss in self.losses:
            loss.class_weights = weights


def structure_weights(dice: Sequence[float] | np.ndarray) -> list[float]:
    """Return the weight of every structure from its Dice; 1 where that is NaN, as nothing is known of the structure."""
    values = np.asarray(dice, dtype=float)
    if np.isnan(values).all():
        return [1.0] * len(values)
    low = np.nanmin(values) - MARGIN
    weights = (np.nanmedian(values) - low) / (values - low)
    return np.where(np.isnan(weights), 1.0, weights).tolist()


def _counts(logits: torch.Tensor, label: torch.Tensor, regions: Sequence[Sequence[int]] | None) -> torch.Tensor:
    """Return voxels in both, in the prediction and in the reference ``(3, structures)`` of a batch."""
    label = torch.as_tensor(label)
    if regions is None:
        values = [[value] for value in range(1, logits.size(1))]
        found = region_masks(logits.argmax(1, keepdim=True), values, dim=1)
    else:
        values = [list(region) for region in regions]
        found = logits > 0
    found = found & (label >= 0)
    true = region_masks(label, values, dim=1)
    return torch.stack([mask.movedim(1, 0).flatten(1).sum(1) for mask in (found & true, found, true)]).double()
