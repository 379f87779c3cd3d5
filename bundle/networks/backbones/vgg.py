"""VGG-16 as a trunk, in 2D or 3D.

Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and Zisserman 2014),
https://arxiv.org/abs/1409.1556. Differs from it: no fully connected layers (:class:`bundle.networks.FCN` has them as
convolutions), an odd size is pooled to its half rounded up, and there is normalization, without which the network
hardly trains from scratch (``norm: null`` removes it).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from monai.networks.layers.factories import Pool
from torch import nn

from bundle.networks.blocks.convolution import ConvNormAct

from .trunk import Trunk, scaled

CHANNELS = (64, 128, 256, 512, 512)
CONVS = (2, 2, 3, 3, 3)


class VGGTrunk(Trunk):
    """The features of a VGG-16: the maps after its five poolings, at strides 2, 4, 8, 16 and 32.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        width: factor of all published numbers of channels.
        output_stride: 32, the only one.
        act: MONAI activation option.
        norm: MONAI normalization option.
        gates: ``attention`` and ``spatial_size``, see :class:`Trunk`.

    Raises:
        ValueError: when an option is unknown.
    """

    OUTPUT_STRIDES: ClassVar[tuple[int, ...]] = (32,)

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        width: float = 1.0,
        output_stride: int = 32,
        act: Any = "relu",
        norm: Any = "batch",
        **gates: Any,
    ) -> None:
        channels = scaled(CHANNELS, width)
        # The layers with normalization end at stride 16, so that a last feature of one voxel is valid.
        super().__init__(spatial_dims, channels, output_stride=output_stride, norm=None, **gates)
        self.stages = nn.ModuleList()
        for count, below, width_here in zip(CONVS, [in_channels, *channels[:-1]], channels, strict=True):
            widths = [below] + [width_here] * (count - 1)
            convs = (ConvNormAct(spatial_dims, source, width_here, act=act, norm=norm) for source in widths)
            self.stages.append(nn.Sequential(*convs, Pool[Pool.MAX, spatial_dims](2, ceil_mode=True)))

    def extract(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the five features of ``x`` ``(B, in_channels, ...)``."""
        features: list[torch.Tensor] = []
        for stage, gate in zip(self.stages, self.gates):  # noqa: B905 - TorchScript
            x = gate(stage(x))
            features.append(x)
        return features
