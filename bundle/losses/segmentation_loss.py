"""Losses of a segmentation by their names: Dice, cross-entropy and focal loss, alone and in sums.

Source: MONAI's own losses, composed. Differs from MONAI's sums: in ``DiceFocalLoss(softmax=True)`` the focal term has a
sigmoid, here both terms see the same probabilities. The sums, and the cross-entropy whose class weights do not weigh
the Dice term (MONAI's ``DiceCELoss(weight=...)`` weighs both), are those of the original project of the Progressive
Attention Module (its ``--loss_mode`` DICE, CE, FC and CBL).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import torch
from monai.losses import DiceLoss, FocalLoss
from monai.networks.utils import one_hot
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional

from bundle.utils.check_choice import check_choice

from .loss_checks import working_type

LossName = Literal["dice", "ce", "focal", "dice_ce", "dice_focal", "weighted_ce", "dice_weighted_ce"]

TERMS: dict[LossName, tuple[str, ...]] = {
    "dice": ("dice",),
    "ce": ("cross_entropy",),
    "focal": ("focal",),
    "dice_ce": ("dice", "cross_entropy"),
    "dice_focal": ("dice", "focal"),
    "weighted_ce": ("cross_entropy",),
    "dice_weighted_ce": ("dice", "cross_entropy"),
}
"""Terms of every loss."""

EACH_EPOCH = "epoch"
"""The class weights that :class:`bundle.training.ClassReweighting` sets after every epoch."""


class SegmentationLoss(nn.Module):
    """Loss of logits against a label map, chosen by its name.

    Without ``regions`` the channels are exclusive classes with the background first: a softmax. With ``regions`` each
    channel is a separate region, which may overlap the others: a sigmoid, and the mean over the regions. Voxels whose
    label is negative, such as :data:`bundle.utils.label_names.IGNORED`, are left out of all terms.

    Args:
        name: ``"dice"``, ``"ce"`` (cross-entropy), ``"focal"`` (MONAI's; the mean over voxels and classes), their sums
            ``"dice_ce"`` and ``"dice_focal"``, or ``"weighted_ce"`` and ``"dice_weighted_ce"``, in which only the
            cross-entropy has class weights. Dice sums over the batch, and counts the background.
        class_weights: weights of the cross-entropy, one per channel, with the weighted mean, as in PyTorch; or
            ``"epoch"``: 1 in the first epoch and then those of :class:`bundle.training.ClassReweighting`, with the
            plain mean over all voxels, as in the original. For the weighted losses only.
        regions: label values of every region, in the order of the channels; None for exclusive classes.
        gamma: exponent of the focal loss.

    Raises:
        ValueError: when the name is unknown, class weights are missing, superfluous or negative, or a region is empty.

    Examples:
        >>> loss = SegmentationLoss("ce")
        >>> print(f"{loss(torch.zeros(1, 4, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8)):.4f}")
        1.3863
    """

    def __init__(
        self,
        name: LossName = "dice_ce",
        *,
        class_weights: Sequence[float] | str | None = None,
        regions: Mapping[str, Sequence[int]] | None = None,
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        check_choice("loss_name", name, get_args(LossName))
        if ("weighted" in name) != (class_weights is not None):
            raise ValueError(
                f"class_weights must be numbers or {EACH_EPOCH!r} for weighted_ce and dice_weighted_ce, and null for "
                f"the other losses, got {class_weights!r} for {name!r}."
            )
        if regions is not None and not (regions and all(len(values) for values in regions.values())):
            raise ValueError(f"regions must name one region or more with their label values, got {dict(regions)}.")
        self.name = name
        self.regions = None if regions is None else [list(values) for values in regions.values()]
        self.each_epoch = class_weights == EACH_EPOCH
        self.class_weights = None if class_weights is None or self.each_epoch else _weights(class_weights)
        self.dice = DiceLoss(softmax=regions is None, sigmoid=regions is not None, batch=True)
        self.focal = FocalLoss(gamma=gamma, use_softmax=regions is None)

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            logits: ``(B, K, ...)``, one channel per class with the background first, or one per region.
            label: label map ``(B, 1, ...)``. Where all of it is to be ignored, the loss is 0.

        Raises:
            ValueError: when the shapes, or the number of channels and that of regions or weights, do not fit.
        """
        self._check(logits, label)
        logits = convert_to_tensor(logits, track_meta=False)
        logits, label = _without_ignored(logits.to(working_type(logits)), convert_to_tensor(label, track_meta=False))
        if not label.numel():
            return logits.sum()
        target = self._target(label, logits)
        terms: dict[str, Callable[..., torch.Tensor]] = {
            "dice": self.dice,
            "focal": self.focal,
            "cross_entropy": self._cross_entropy,
        }
        return torch.stack([terms[term](logits, target) for term in TERMS[self.name]]).sum()

    def _check(self, logits: torch.Tensor, label: torch.Tensor) -> None:
        if logits.dim() < 3 or label.shape != (len(logits), 1, *logits.shape[2:]):
            raise ValueError(
                "logits must be (B, K, ...) and the label map (B, 1, ...) of the same size, got "
                f"{tuple(logits.shape)} and {tuple(label.shape)}."
            )
        if self.regions is not None and logits.size(1) != len(self.regions):
            raise ValueError(
                f"the network must have one channel for each of {len(self.regions)} regions, got {logits.size(1)}; "
                "set network_def#out_channels."
            )
        if self.class_weights is not None and logits.size(1) != len(self.class_weights):
            raise ValueError(
                f"class_weights must be one for each of {logits.size(1)} channels, got {len(self.class_weights)}."
            )

    def _target(self, label: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the reference of every channel, 0 or 1."""
        if self.regions is None:
            return one_hot(label, logits.size(1), dtype=logits.dtype)
        return region_masks(label, self.regions, dim=1).to(logits.dtype)

    def _cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        weights = logits.new_ones(logits.size(1)) if self.class_weights is None else self.class_weights.to(logits)
        shaped = weights.reshape([-1] + [1] * (logits.dim() - 2))
        if self.regions is None:
            loss = functional.cross_entropy(logits, target.argmax(1), weight=weights, reduction="none")
            total = (target * shaped).sum()
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * shaped
            total = weights.mean() * loss.numel()
        if self.each_epoch:
            return loss.mean()
        return loss.sum() / total.clamp_min(torch.finfo(loss.dtype).tiny)


def _without_ignored(logits: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels of the voxels that count, as one sample ``(1, K, N)`` and ``(1, 1, N)`` if some do not.

    All terms sum over the batch, so that they are those of the voxels that count.
    """
    counted = label[:, 0] >= 0
    if counted.all():
        return logits, label
    return logits.movedim(1, -1)[counted].T[None], label[:, 0][counted][None, None]


def region_masks(label: torch.Tensor, regions: Sequence[Sequence[int]], *, dim: int = 0) -> torch.Tensor:
    """Return which voxels of a label map belong to every region, boolean.

    Args:
        label: label map with one channel.
        regions: label values of every region.
        dim: dimension of the channel.
    """
    return torch.cat([torch.isin(label, label.new_tensor(list(values))) for values in regions], dim=dim)


def _weights(values: Sequence[float] | str) -> torch.Tensor:
    if isinstance(values, str) or not len(values) or not all(value >= 0 for value in values) or sum(values) == 0:
        raise ValueError(f"class_weights must be {EACH_EPOCH!r} or numbers of 0 or more, not all 0, got {values!r}.")
    return torch.tensor(values, dtype=torch.float32)
