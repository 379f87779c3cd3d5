"""Attention gate: a skip connection weighted by the coarser map that it will be joined with.

Paper: Oktay et al., Attention U-Net: Learning Where to Look for the Pancreas, https://arxiv.org/abs/1804.03999,
section 2.1. One gate per voxel, computed at half the size of the skip. Differs from the paper in the normalization
after the output: instance normalization is the default, as in the networks that use it; the paper has batch
normalization (``norm="batch"``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_norm_layer
from torch import nn
from torch.nn import functional

from .squeeze import hidden_size


class AttentionGate(nn.Module):
    """Return ``norm(W (x * psi))`` with ``psi = sigmoid(V relu(Theta x + Phi g))``, enlarged to the size of x.

    ``Theta`` halves the size of x and has no bias, ``Phi``, ``V`` and ``W`` are convolutions of size 1.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the skip x.
        spatial_size: not used; every mechanism takes it.
        gating_channels: channels of the coarser map g.
        reduction: ratio of the channels of x to those of the gate.
        norm: MONAI normalization option of the output, or None.

    Raises:
        ValueError: when ``gating_channels`` is missing or ``reduction`` is below 1.

    Examples:
        >>> gate = AttentionGate(3, 16, gating_channels=32)
        >>> gate(torch.rand(1, 16, 8, 8, 8), torch.rand(1, 32, 4, 4, 4)).shape
        torch.Size([1, 16, 8, 8, 8])
    """

    takes_gating = True

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        spatial_size: Sequence[int] | None = None,
        *,
        gating_channels: int | None = None,
        reduction: int = 2,
        norm: Any = ("instance", {"affine": True}),
    ) -> None:
        super().__init__()
        if gating_channels is None:
            raise ValueError(
                "gating_channels must be given: attention 'ag' weights a skip connection by a coarser map, which is "
                "missing; choose another mechanism or a network with skip connections (AttentionUNet, AttentionVNet)."
            )
        hidden = hidden_size("reduction", channels, reduction)
        conv = Conv[Conv.CONV, spatial_dims]
        self.mode = {2: "bilinear", 3: "trilinear"}[spatial_dims]
        self.theta = conv(channels, hidden, 2, stride=2, bias=False)
        self.phi = conv(gating_channels, hidden, 1)
        self.psi = conv(hidden, 1, 1)
        output = conv(channels, channels, 1, bias=norm is None)
        layers = [output] if norm is None else [output, get_norm_layer(norm, spatial_dims, channels)]
        self.output = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor, gating: torch.Tensor) -> torch.Tensor:
        """Return the weighted skip, of the shape of ``x`` ``(B, channels, ...)``.

        Args:
            x: the skip.
            gating: the coarser map ``(B, gating_channels, ...)``, usually of half the size of x, rounded down; another
                size is interpolated.
        """
        theta, phi = self.theta(x), self.phi(gating)
        if theta.shape[2:] != phi.shape[2:]:
            phi = functional.interpolate(phi, size=theta.shape[2:], mode=self.mode, align_corners=False)
        logits = self.psi(torch.relu(theta + phi))
        gate = torch.sigmoid(functional.interpolate(logits, size=x.shape[2:], mode=self.mode, align_corners=False))
        return self.output(x * gate).to(x.dtype)
