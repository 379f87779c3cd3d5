"""U-Net with a branch for shape: image gradients gate the features of the encoder.

Paper: Azad et al., Intervertebral disc labeling with learning shape information, a look once approach,
https://arxiv.org/abs/2204.02943. The authors' code of this network is not public; what the figures do not specify is
chosen here: the gradient is the magnitude of the Sobel filter, computed in the network, the shape features are two
convolutions of it, averaged to the size of every level, and a decoder may stop at a coarser level.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn
from torch.nn import functional

from bundle.attention.attention_factory import get_attention_layer
from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_level_channels, check_positive, check_spatial_dims

from .blocks.convolution import adn, conv_stack
from .blocks.padding import crop_to_image, pad_to_multiple


class ShapeUNet(nn.Module):
    """Shape-gated U-Net in 2D or 3D; returns logits, or heat maps without an activation.

    A cell i of a map at a stride has its center at input pixel ``(i + 0.5) * stride - 0.5``. Inputs whose sides the
    encoder cannot halve are padded with zeros at the far ends, and the maps are cropped.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input; the gradient is computed of each of them.
        out_channels: number of classes or landmarks.
        channels: channels of every level, from the finest; its length is the number of levels.
        convs: convolutions of every level of the encoder; those of the decoder have one.
        shape_channels: channels of the shape features.
        reduction: ratio of the channels of a level to the hidden units of its channel gate.
        stride: 1 for maps of the size of the input; 2, 4, ... for a decoder that stops where a cell has that many
            pixels per side. The size of the map is rounded up.
        act: MONAI activation option.
        norm: MONAI normalization option.
        dropout: probability of dropping a channel after a convolution, or None.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = ShapeUNet(2, 1, 11, channels=[8, 16], shape_channels=4, stride=2)
        >>> net(torch.rand(1, 1, 32, 48)).shape
        torch.Size([1, 11, 16, 24])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (64, 128, 256, 512),
        convs: int = 2,
        shape_channels: int = 32,
        reduction: int = 8,
        stride: int = 1,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_level_channels(channels)
        check_positive(convs=convs, shape_channels=shape_channels)
        check_choice("stride", stride, [2**level for level in range(len(channels))])
        layers = {"act": act, "norm": norm, "dropout": dropout, "adn_ordering": "NDA"}
        last = stride.bit_length() - 1
        self.stride, self.factor = stride, 2 ** (len(channels) - 1)
        self.gradient = SobelMagnitude(spatial_dims, in_channels)
        self.shape = conv_stack(spatial_dims, in_channels, shape_channels, shape_channels, convs=2, **layers)
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)
        self.shrink = Pool[Pool.AVG, spatial_dims](kernel_size=2)
        self.encoders, self.gates = nn.ModuleList(), nn.ModuleList()
        for before, width in pairwise((in_channels, *channels)):
            self.encoders.append(conv_stack(spatial_dims, before, width, width, convs=convs, **layers))
            self.gates.append(ShapeGate(spatial_dims, width, shape_channels, reduction))
        self.mix = LevelMix(spatial_dims, channels)
        self.bottom = conv_stack(spatial_dims, 2 * channels[-1], channels[-1], channels[-1], convs=1, **layers)
        self.enlarge, self.decoders = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(last, len(channels) - 1)):
            width, below = channels[level], channels[level + 1]
            up = Conv[Conv.CONVTRANS, spatial_dims](below, width, 2, stride=2)
            self.enlarge.append(nn.Sequential(up, adn(spatial_dims, width, act=None, norm=norm, ordering="N")))
            self.decoders.append(conv_stack(spatial_dims, 2 * width, width, width, convs=1, **layers))
        self.head = Conv[Conv.CONV, spatial_dims](channels[last], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is empty.
        """
        size = list(x.shape[2:])
        image = pad_to_multiple(x, self.factor)
        shape = self.shape(pad_to_multiple(self.gradient(x), self.factor))
        x = image
        skips: list[torch.Tensor] = []
        for level, (encoder, gate) in enumerate(zip(self.encoders, self.gates)):  # noqa: B905 - TorchScript
            if level > 0:
                x, shape = self.pool(x), self.shrink(shape)
            x = gate(encoder(x), shape)
            skips.append(x)
        x = self.bottom(torch.cat([skips[-1], self.mix(skips)], dim=1))
        skips.pop()
        for enlarge, decoder in zip(self.enlarge, self.decoders):  # noqa: B905 - TorchScript
            x = decoder(torch.cat([skips.pop(), enlarge(x)], dim=1))
        return crop_to_image(self.head(x), size, self.stride)


class SobelMagnitude(nn.Module):
    """Magnitude of the Sobel gradient of every channel, per voxel; the image is extended by its border.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the image.
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.spatial_dims, self.channels = spatial_dims, channels
        smooth, slope = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([-0.5, 0.0, 0.5])
        kernels = []
        for axis in range(spatial_dims):
            kernel = torch.ones(())
            for other in range(spatial_dims):
                kernel = kernel[..., None] * (slope if other == axis else smooth)
            kernels.append(kernel)
        self.kernels: torch.Tensor
        self.register_buffer(
            "kernels", torch.stack(kernels)[:, None].repeat(channels, *[1] * (spatial_dims + 1)), False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the magnitude, of the shape of ``x`` ``(B, channels, ...)``."""
        x = functional.pad(x, [1, 1] * self.spatial_dims, mode="replicate")
        if self.spatial_dims == 2:
            slopes = functional.conv2d(x, self.kernels, groups=self.channels)
        else:
            slopes = functional.conv3d(x, self.kernels, groups=self.channels)
        squares = slopes.square().unflatten(1, [self.channels, self.spatial_dims]).sum(2)
        return torch.sqrt(squares + 1e-6)


class ShapeGate(nn.Module):
    """``f * w_f * w_s + proj(shape)``: a gate per channel from the map, a gate per voxel from the shape features.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the map.
        shape_channels: channels of the shape features, whose mean the gate per voxel sees.
        reduction: ratio of the channels to the hidden units of the gate per channel.
        hidden: channels between the two convolutions of the gate per voxel.
    """

    def __init__(
        self, spatial_dims: int, channels: int, shape_channels: int, reduction: int, *, hidden: int = 8
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.channel = get_attention_layer(("se", {"reduction": reduction}), spatial_dims, channels)
        self.spatial = nn.Sequential(
            conv(1, hidden, 3, padding=1), nn.ReLU(), conv(hidden, 1, 3, padding=1), nn.Sigmoid()
        )
        self.project = conv(shape_channels, channels, 1)

    def forward(self, x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """Return the gated map, of the shape of ``x`` ``(B, channels, ...)``; ``shape`` has its spatial size."""
        return self.channel(x) * self.spatial(shape.mean(1, keepdim=True)) + self.project(shape)


class LevelMix(nn.Module):
    """``sigmoid(sum_j w_j P_j(f_j))``: the maps of all levels, averaged to the size of the coarsest and projected.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of every level, from the finest; the result has those of the coarsest.
    """

    def __init__(self, spatial_dims: int, channels: Sequence[int]) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.projections = nn.ModuleList(conv(width, channels[-1], 1) for width in channels)
        self.shrink = Pool[Pool.AVG, spatial_dims](kernel_size=2)
        self.weights = nn.Parameter(torch.full((len(channels),), 1 / len(channels)))

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Return the mixed map; every one of ``levels`` has half the size of the previous one."""
        total = torch.zeros_like(levels[-1])
        for index, project in enumerate(self.projections):
            x = levels[index]
            for _ in range(len(levels) - 1 - index):
                x = self.shrink(x)
            total = total + self.weights[index] * project(x)
        return torch.sigmoid(total)
