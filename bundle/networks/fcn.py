"""FCN-8s, FCN-16s and FCN-32s in 2D or 3D.

Paper: Fully Convolutional Networks for Semantic Segmentation (Long et al. 2015), https://arxiv.org/abs/1411.4038.
Differs from it: the input is not padded by 100 voxels; the first fully connected layer is padded so that it keeps the
size, poolings round up, and maps are cropped at their end, so that the logits have the size of the input,
whatever it is. All transposed convolutions are learned, the last one too. The scores start at random, not at zero.
There is normalization in the trunk (``norm: null`` removes it), which may be a ResNet, also in 3D.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, get_args

import torch
from monai.networks.layers.factories import Conv, Dropout
from torch import nn

from bundle.attention.attention_factory import AttentionSpec
from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_positive

from .backbones.trunk_factory import LITE, TrunkSpec, get_trunk, split_trunk
from .blocks.convolution import ConvNormAct

Stride = Literal[8, 16, 32]


class FCN(nn.Module):
    """Scores of the coarsest feature, enlarged by transposed convolutions; returns logits.

    In 3D the published width of the first fully connected layer gives 720 million weights: reduce ``fc_channels``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of classes.
        stride: 8, 16 or 32; for 16 the scores of the feature at 16 are added, for 8 also those at 8.
        trunk: ``"vgg"``, ``"resnet"``, or a pair of one of these and its options, such as
            ``("resnet", {"depth": 34})`` or ``("vgg", {"width": 0.25})``.
        fc_channels: channels of the two fully connected layers, which follow the trunk ``"vgg"`` only.
        attention: mechanism after every feature of the trunk, see :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option of all layers.
        norm: MONAI normalization option of the trunk; there is none after it.
        dropout: probability of dropping a channel after each fully connected layer, with the trunk ``"resnet"``
            before the scores; or None.

    Raises:
        ValueError: when an option is unknown.

    Examples:
        >>> net = FCN(2, 3, 1, trunk=("vgg", {"width": 0.0625}), fc_channels=16)
        >>> net(torch.rand(1, 3, 32, 48)).shape
        torch.Size([1, 1, 32, 48])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        stride: Stride = 8,
        trunk: TrunkSpec = "vgg",
        fc_channels: int = 4096,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        dropout: float | None = 0.5,
    ) -> None:
        super().__init__()
        check_choice("stride", stride, get_args(Stride))
        check_positive(fc_channels=fc_channels)
        shared: dict[str, Any] = {"act": act, "norm": norm, "attention": attention, "spatial_size": spatial_size}
        choice = ("vgg", "resnet", *LITE)
        self.trunk = get_trunk(trunk, spatial_dims, in_channels, choice=choice, output_stride=32, **shared)
        widths = self.trunk.channels
        drop = nn.Identity() if dropout is None else Dropout[Dropout.DROPOUT, spatial_dims](dropout)
        fully = split_trunk(trunk)[0] == "vgg"
        if fully:
            alone = {"act": act, "norm": None}
            fc6 = ConvNormAct(spatial_dims, widths[-1], fc_channels, kernel_size=7, **alone)
            fc7 = ConvNormAct(spatial_dims, fc_channels, fc_channels, kernel_size=1, **alone)
            self.fully = nn.Sequential(fc6, drop, fc7, drop)
        else:
            self.fully = nn.Sequential(drop)
        conv = Conv[Conv.CONV, spatial_dims]
        self.score = conv(fc_channels if fully else widths[-1], out_channels, 1)
        self.ups, self.scores = nn.ModuleList(), nn.ModuleList()
        for finer in [
            width for width, at in zip(widths[::-1], self.trunk.strides[::-1], strict=True) if stride <= at < 32
        ]:
            self.ups.append(bilinear_deconv(spatial_dims, out_channels, 2))
            self.scores.append(conv(finer, out_channels, 1))
        self.last = bilinear_deconv(spatial_dims, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        Raises:
            ValueError: when a spatial axis is shorter than 32, or, with the trunk ``"resnet"`` and normalization by
                instance, none is longer.
        """
        features = self.trunk(x)
        logits = self.score(self.fully(features.pop()))
        for up, score in zip(self.ups, self.scores):  # noqa: B905 - TorchScript
            finer = score(features.pop())
            logits = crop(up(logits), list(finer.shape[2:])) + finer
        return crop(self.last(logits), list(x.shape[2:]))


def crop(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Cut ``x`` ``(B, C, ...)`` at the end of every spatial axis to the spatial size ``size``."""
    for axis, length in enumerate(size):
        x = x.narrow(axis + 2, 0, length)
    return x


def bilinear_deconv(spatial_dims: int, channels: int, stride: int) -> nn.Module:
    """Build a transposed convolution of size ``2 * stride`` that multiplies the size by ``stride``, an even number.

    It starts as bi- or trilinear interpolation of every channel, with zeros around the map.
    """
    deconv = Conv[Conv.CONVTRANS, spatial_dims]
    layer = deconv(channels, channels, 2 * stride, stride=stride, padding=stride // 2, bias=False)
    ramp = 1 - (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
    kernel = reduce(torch.multiply, torch.meshgrid([ramp] * spatial_dims, indexing="ij"))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = kernel
    return layer
