"""Loss of a network that returns heat maps, of one stage or of several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import convert_to_tensor
from torch import nn
from torch.nn import functional

from bundle.utils.option_checks import check_not_negative

from .joint_mse import JointMSELoss
from .loss_checks import working_type
from .skeletal_loss import SkeletalLoss


class HeatmapLoss(nn.Module):
    """Joint mean squared error, plus a skeletal term, summed over the stages of the network.

    The target is one tensor, as MONAI's trainers pass it on: channels whose landmark is unknown are NaN and are
    ignored, see :class:`JointMSELoss`. A stage of another size than the target is enlarged to it linearly.

    Args:
        foreground: option of the joint error, see :class:`JointMSELoss`.
        skeletal_weight: weight of the skeletal term, see :class:`SkeletalLoss`; 0 for none.
        decay: option of the skeletal term.
        sharpness: option of the skeletal term.
        least_peak: option of the skeletal term.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> loss = HeatmapLoss(skeletal_weight=0.1)
        >>> target = torch.rand(1, 11, 16, 16)
        >>> print(f"{loss([target, target], target):.4f}")
        0.0000
    """

    def __init__(
        self,
        *,
        foreground: float = 0.0,
        skeletal_weight: float = 0.0,
        decay: float = 0.8,
        sharpness: float = 20.0,
        least_peak: float = 0.1,
    ) -> None:
        super().__init__()
        check_not_negative(skeletal_weight=skeletal_weight)
        self.skeletal_weight = skeletal_weight
        self.joint = JointMSELoss(foreground=foreground)
        self.skeletal = SkeletalLoss(decay=decay, sharpness=sharpness, least_peak=least_peak)

    def forward(self, maps: torch.Tensor | Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """Return the loss, a number.

        Args:
            maps: heat maps ``(B, J, ...)``, or those of every stage.
            target: targets ``(B, J, ...)``; NaN where it is unknown.

        Raises:
            ValueError: when the shapes do not fit.
        """
        stages = [maps] if isinstance(maps, torch.Tensor) else maps
        target = convert_to_tensor(target, track_meta=False)
        return torch.stack([self._of_stage(stage, target) for stage in stages]).sum()

    def _of_stage(self, stage: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        stage = enlarge(stage, target)
        loss = self.joint(stage, target)
        return loss + self.skeletal_weight * self.skeletal(stage, target) if self.skeletal_weight else loss


def enlarge(maps: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return maps at the spatial size of their target; cells are centered as pixels are, ``(i + 0.5) stride - 0.5``."""
    size = list(target.shape[2:])
    if list(maps.shape[2:]) == size or maps.dim() != target.dim():
        return maps
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
    return functional.interpolate(maps.to(working_type(maps)), size=size, mode=mode, align_corners=False)
