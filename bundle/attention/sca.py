"""Slice attention, then channel attention ("scA").

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), where it is
compared with the module; it is PAM without the selection of key slices. Differs from the original code: one gate per
(sample, channel, slice), see :mod:`bundle.attention.squeeze`; any batch size and number of slices.
"""

from __future__ import annotations

import torch

from .squeeze import SliceChannelModule


class SliceChannelAttention(SliceChannelModule):
    """Scale every slice of every channel by ``s * e``: slice gate, and channel gate of the map scaled by it.

    Arguments and errors: :class:`bundle.attention.squeeze.SliceChannelModule`.

    Examples:
        >>> block = SliceChannelAttention(3, 16, [8, 8, 10])
        >>> block(torch.rand(2, 16, 8, 8, 10)).shape
        torch.Size([2, 16, 8, 8, 10])
    """

    name = "sca"

    def gate(self, mean: torch.Tensor, maximum: torch.Tensor) -> torch.Tensor:
        """Map the descriptors of the slices, each ``(B, C, S)``, to the gate ``(B, C, S)``."""
        gate = self.slice(mean, maximum)
        return gate * self.channel((gate * mean).mean(-1), (gate * maximum).amax(-1)).unsqueeze(-1)
