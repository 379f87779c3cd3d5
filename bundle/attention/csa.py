"""Channel attention, then slice attention ("csA").

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), where it is
compared with the module. Differs from the original code: one gate per (sample, channel, slice), see
:mod:`bundle.attention.squeeze`; any batch size and number of slices.
"""

from __future__ import annotations

import torch

from .squeeze import SliceChannelModule


class ChannelSliceAttention(SliceChannelModule):
    """Scale every slice of every channel by ``c * s``: channel gate, and slice gate of the map scaled by it.

    Arguments and errors: :class:`bundle.attention.squeeze.SliceChannelModule`.

    Examples:
        >>> block = ChannelSliceAttention(3, 16, [8, 8, 10])
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    name = "csa"

    def gate(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors of the slices, each ``(B, C, S)``, to the gate ``(B, C, S)``."""
        channel = self.channel(mean.mean(-1), maximum.amax(-1)).unsqueeze(-1)
        return channel * self.slice(mean * channel, maximum * channel)
