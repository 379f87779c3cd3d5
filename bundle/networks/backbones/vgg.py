"""VGG-16 as a trunk, in 2D or 3D.

Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and Zisserman 2014),
https://arxiv.org/abs/1409.1556. Differs from it: the fully connected layers are not here (:class:`bundle.networks.FCN`
has them as convolutions), an odd size is pooled to its half rounded up, and there is normalization, without which it
hardly trains from scratch (``norm: null`` takes it away).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Pool
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.networks.blocks.conv_norm import ConvNormAct

from .trunk import Trunk, scaled

CHANNELS = (64, 128, 256, 512, 512)
CONVS = (2, 2, 3, 3, 3)


class VGGTrunk(Trunk):
    """The features of a VGG-16: the maps behind its five poolings, at strides 2, 4, 8, 16 and 32.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        width: factor of all published numbers of channels.
        output_stride: 32, the only one.
        attention: mechanism behind every feature, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it limits no input.
        act: MONAI activation option.
        norm: MONAI normalization option.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        width: float = 1.0,
        output_stride: int = 32,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        if output_stride != 32:
            raise ValueError(f"output_stride must be 32 for the trunk vgg, got {output_stride}.")
        channels = scaled(CHANNELS, width)
        # The layers with normalization end at stride 16, so that a last feature of one voxel is sound.
        gates: dict[str, Any] = {"attention": attention, "spatial_size": spatial_size, "norm": None}
        super().__init__(spatial_dims, channels, output_stride=output_stride, **gates)
        self.stages = nn.ModuleList()
        for count, below, width_here in zip(CONVS, [in_channels, *channels[:-1]], channels, strict=True):
            widths = [below] + [width_here] * (count - 1)
            convs = (ConvNormAct(spatial_dims, source, width_here, act=act, norm=norm) for source in widths)
            self.stages.append(nn.Sequential(*convs, Pool[Pool.MAX, spatial_dims](2, ceil_mode=True)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the five features of ``x`` ``(B, in_channels, ...)``, fine to coarse.

        Raises:
            ValueError: when ``x`` is too small, see :meth:`Trunk.check`.
        """
        self.check(x)
        features: list[torch.Tensor] = []
        for stage, gate in zip(self.stages, self.gates):  # noqa: B905 - TorchScript
            x = gate(stage(x))
            features.append(x)
        return features
