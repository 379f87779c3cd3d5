"""Convolution, normalization, activation, plain and depthwise separable.

Paper of the separable convolution as it is used here: Encoder-Decoder with Atrous Separable Convolution for Semantic
Image Segmentation (Chen et al. 2018), https://arxiv.org/abs/1802.02611. Differs from the usual layers: weights start
as He et al. (https://arxiv.org/abs/1502.01852) have them, and a convolution has a bias only where no normalization,
which would cancel it, follows.
"""

from __future__ import annotations

from typing import Any

from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_act_layer, get_norm_layer
from torch import nn

from .norm import with_fast_instance_norm


def norm_layer(norm: Any, spatial_dims: int, channels: int) -> nn.Module:
    """Build a MONAI normalization layer, "instance" in its fast form; the identity where ``norm`` is None."""
    return get_norm_layer(with_fast_instance_norm(norm) or "", spatial_dims=spatial_dims, channels=channels)


def act_layer(act: Any) -> nn.Module:
    """Build a MONAI activation layer; the identity where ``act`` is None."""
    return get_act_layer(act or "")


class ConvNormAct(nn.Sequential):
    """Convolution that keeps the size, or divides it by ``stride`` rounding up; then normalization and activation.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: odd size of the kernel.
        stride: step of the kernel.
        dilation: distance of the taps of the kernel.
        groups: groups of channels that do not see each other.
        act: MONAI activation option, or None.
        norm: MONAI normalization option, or None.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        conv = Conv[Conv.CONV, spatial_dims](
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=norm is None,
        )
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers = [conv]
        if norm is not None:
            layers.append(norm_layer(norm, spatial_dims, out_channels))
        if act is not None:
            layers.append(act_layer(act))
        super().__init__(*layers)


class SeparableConv(nn.Sequential):
    """Depthwise convolution of size 3, then pointwise convolution, each with normalization and activation.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: step of the depthwise kernel.
        dilation: distance of its taps.
        act: MONAI activation option behind either convolution; None where the activation stands before the layer.
        norm: MONAI normalization option behind either convolution, or None.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        act: Any = "relu",
        norm: Any = "batch",
    ) -> None:
        shared = {"act": act, "norm": norm}
        depthwise = {"stride": stride, "dilation": dilation, "groups": in_channels}
        super().__init__(
            ConvNormAct(spatial_dims, in_channels, in_channels, **depthwise, **shared),
            ConvNormAct(spatial_dims, in_channels, out_channels, kernel_size=1, **shared),
        )
