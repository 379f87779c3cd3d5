"""ResNet as a trunk, in 2D or 3D.

Paper: Deep Residual Learning for Image Recognition (He et al. 2015), https://arxiv.org/abs/1512.03385, in the form of
torchvision: the stride of a bottleneck is in its convolution of size 3. The blocks are those of MONAI, the names of
the weights those of torchvision, see :func:`bundle.networks.load_pretrained`. Differs from both: no
classifier, strides can be replaced by dilation in both kinds of block, normalization and activation are arguments of
all layers, and attention can follow every feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Conv, Pool
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck
from torch import nn

from bundle.networks.blocks.convolution import act_layer, norm_layer
from bundle.networks.blocks.norm import with_fast_instance_norm
from bundle.utils.check_choice import check_choice

from .trunk import FULL_STRIDES, Trunk, scaled, stride_and_dilations

BlockType = type[ResNetBlock] | type[ResNetBottleneck]
BlockName = Literal["basic", "bottleneck"]

BLOCKS: dict[str, BlockType] = {"basic": ResNetBlock, "bottleneck": ResNetBottleneck}
DEPTHS: dict[int, tuple[str, Sequence[int]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


class ResNetTrunk(Trunk):
    """The features of a ResNet: after the first convolution, then after each of its four layers of blocks.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        depth: 18, 34, 50, 101 or 152, or the numbers of blocks of the four layers.
        block: ``"basic"`` or ``"bottleneck"``; by default that of ``depth``, ``"bottleneck"`` for numbers of blocks.
        width: factor of all published numbers of channels.
        output_stride: 8, 16 or 32; larger strides are replaced by dilation.
        act: MONAI activation option.
        norm: MONAI normalization option.
        gates: ``attention`` and ``spatial_size``, see :class:`Trunk`.

    Raises:
        ValueError: when an option is unknown.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        *,
        depth: int | Sequence[int] = 50,
        block: BlockName | None = None,
        width: float = 1.0,
        output_stride: int = 32,
        act: Any = "relu",
        norm: Any = "batch",
        **gates: Any,
    ) -> None:
        kind, counts = _blocks(depth, block)
        planes = scaled((64, 64, 128, 256, 512), width)
        channels = [planes[0], *(plane * kind.expansion for plane in planes[1:])]
        super().__init__(spatial_dims, channels, output_stride=output_stride, norm=norm, **gates)
        conv = Conv[Conv.CONV, spatial_dims]
        self.conv1 = conv(in_channels, planes[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(norm, spatial_dims, planes[0])
        self.act = act_layer(act)
        self.maxpool = Pool[Pool.MAX, spatial_dims](kernel_size=3, stride=2, padding=1)
        layers = [
            _layer(
                kind,
                count,
                below,
                plane,
                stride_and_dilations(stride, output_stride) if stride > 4 else (1, 1, 1),
                spatial_dims=spatial_dims,
                act=act,
                norm=norm,
            )
            for count, below, plane, stride in zip(counts, channels[:-1], planes[1:], FULL_STRIDES[1:], strict=True)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for layer in (self.conv1, *layers):
            for module in layer.modules():
                if isinstance(module, conv):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def skipped_keys(self) -> tuple[str, ...]:
        """Return how the keys of torchvision's weights start that this trunk does not have."""
        return ("fc.",)

    def extract(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the five features of ``x`` ``(B, in_channels, ...)``."""
        stem = self.gates[0](self.act(self.bn1(self.conv1(x))))
        first = self.gates[1](self.layer1(self.maxpool(stem)))
        second = self.gates[2](self.layer2(first))
        third = self.gates[3](self.layer3(second))
        fourth = self.gates[4](self.layer4(third))
        return [stem, first, second, third, fourth]


def _blocks(depth: int | Sequence[int], block: BlockName | None) -> tuple[BlockType, Sequence[int]]:
    """Return the kind of block and the numbers of blocks of the four layers."""
    if isinstance(depth, int):
        if depth not in DEPTHS:
            known = ", ".join(map(str, DEPTHS))
            raise ValueError(f"depth must be one of {known}, or four numbers of blocks, got {depth}.")
        usual, counts = DEPTHS[depth]
    else:
        usual, counts = "bottleneck", depth
        if len(counts) != 4 or min(counts) < 1:
            raise ValueError(f"depth needs a positive number of blocks for each of four layers, got {list(counts)}.")
    name = usual if block is None else block
    check_choice("block", name, get_args(BlockName))
    return BLOCKS[name], counts


def _layer(
    kind: BlockType,
    count: int,
    in_channels: int,
    planes: int,
    steps: tuple[int, int, int],
    *,
    spatial_dims: int,
    act: Any,
    norm: Any,
) -> nn.Sequential:
    """Build the blocks of a layer; ``steps`` are its stride and the dilations before and after it."""
    stride, before, after = steps
    out_channels = planes * kind.expansion
    options: dict[str, Any] = {
        "spatial_dims": spatial_dims,
        "act": act or "",
        "norm": with_fast_instance_norm(norm) or "",
    }
    blocks = []
    for index in range(count):
        step, source = (1, out_channels) if index else (stride, in_channels)
        shortcut = None
        if step != 1 or source != out_channels:
            projection = Conv[Conv.CONV, spatial_dims](source, out_channels, 1, stride=step, bias=False)
            shortcut = nn.Sequential(projection, norm_layer(norm, spatial_dims, out_channels))
        block = kind(source, planes, stride=step, downsample=shortcut, **options)
        first, *others = [block.conv1, block.conv2] if kind is ResNetBlock else [block.conv2]
        _dilate(first, after if index else before)
        for conv in others:
            _dilate(conv, after)
        blocks.append(block)
    return nn.Sequential(*blocks)


def _dilate(conv: Any, dilation: int) -> None:
    """Dilate a convolution of size 3 and keep the size of its output; MONAI's blocks have no such option."""
    conv.dilation = conv.padding = (dilation,) * len(conv.kernel_size)
