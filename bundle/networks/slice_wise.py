"""A 2D network on every slice of a volume.

The 2D networks of the comparisons (2D U-Net, FCN, DeepLabV3+) have volumes as input and output this way, so that they
are trained, evaluated and run by the same workflows as the 3D ones. All slices of a volume are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .network_factory import get_network


class SliceWise(nn.Module):
    """Run a 2D network on the slices of a volume; returns logits in training and in evaluation.

    Args:
        spatial_dims: must be 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        network: name of the 2D network in the registry :data:`bundle.networks.Network`.
        slice_dim: spatial axis of the slices.
        spatial_size: spatial size of the training patch; the network gets that of the plane.
        options: further arguments of the network.

    Raises:
        ValueError: when ``spatial_dims`` is not 3, ``slice_dim`` is out of range, or the network rejects its arguments.

    Examples:
        >>> net = SliceWise(3, 1, 3, network="unet", channels=[8, 16], attention="se")
        >>> net(torch.rand(1, 1, 16, 24, 5)).shape
        torch.Size([1, 3, 16, 24, 5])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        network: str = "unet",
        slice_dim: int = -1,
        spatial_size: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if spatial_dims != 3:
            raise ValueError(f"spatial_dims must be 3 for slices of volumes, got {spatial_dims}.")
        if not -3 <= slice_dim < 3:
            raise ValueError(f"slice_dim must be in [-3, 3), got {slice_dim}.")
        if options.get("deep_supervision"):
            raise ValueError("deep_supervision must be false for a 2D network on slices.")
        self.axis = 2 + slice_dim % 3
        if spatial_size is not None:
            options["spatial_size"] = [size for axis, size in enumerate(spatial_size, 2) if axis != self.axis]
        self.network = get_network(network, 2, in_channels, out_channels, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, D, H, W)`` of ``x`` ``(B, in_channels, D, H, W)``."""
        slices = x.movedim(self.axis, 1)
        outputs = self.network(slices.flatten(0, 1))
        logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        return logits.unflatten(0, slices.shape[:2]).movedim(1, self.axis)
