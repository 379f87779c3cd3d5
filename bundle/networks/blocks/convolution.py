"""Convolutions with normalization, activation and dropout: with a named order, before or after, and separable.

Two families, because the names of their weights differ: :class:`ConvADN` holds MONAI's block of activation, dropout and
normalization; :class:`ConvNormAct` holds its layers one by one, starts as He et al. (https://arxiv.org/abs/1502.01852)
and has a bias only where no normalization follows, which would cancel it. The separable convolution is that of
DeepLabV3+ (Chen et al. 2018), https://arxiv.org/abs/1802.02611.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from monai.networks.blocks import ADN
from monai.networks.layers.factories import Conv
from monai.networks.layers.utils import get_act_layer, get_norm_layer
from torch import nn

from .norm import with_fast_instance_norm


class ConvADN(nn.Sequential):
    """Convolution, then activation, dropout and normalization in the order of ``adn_ordering``.

    At ``stride`` 1 the convolution keeps the size; at ``stride`` 2 and ``kernel_size`` 2 it halves it, rounding down.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the kernel, odd where ``stride`` is 1.
        stride: step of the kernel; above 1 there is no padding.
        act: MONAI activation option.
        norm: MONAI normalization option; "instance" runs through the group-norm kernel on a CPU.
        dropout: probability of dropping a channel, or None.
        adn_ordering: letters A, D, N in the order of their layers; "" for the convolution alone.

    Raises:
        ValueError: when ``kernel_size`` is not positive and odd at ``stride`` 1.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        act: Any = "prelu",
        norm: Any = "instance",
        dropout: float | None = None,
        adn_ordering: str = "ADN",
    ) -> None:
        if stride == 1 and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f"kernel_size must be positive and odd, got {kernel_size}.")
        padding = kernel_size // 2 if stride == 1 else 0
        conv = Conv[Conv.CONV, spatial_dims](in_channels, out_channels, kernel_size, stride=stride, padding=padding)
        layers = [conv, adn(spatial_dims, out_channels, act=act, norm=norm, dropout=dropout, ordering=adn_ordering)]
        super().__init__(*(layers if adn_ordering else layers[:1]))


class OrderedADN(ADN):
    """MONAI's activation-dropout-normalization block, safe to script in two orders in one process.

    TorchScript gives two blocks the same type if they have the same named modules, whatever their order, and runs the
    second in the order of the first (seen with torch 2.13). A constant that differs makes their types differ.
    """

    __constants__ = ("ordering",)

    def __init__(self, ordering: str, **options: Any) -> None:
        super().__init__(ordering=ordering, **options)
        self.ordering = ordering


def adn(
    spatial_dims: int, channels: int, *, act: Any, norm: Any, dropout: float | None = None, ordering: str = "ADN"
) -> nn.Module:
    """Build MONAI's activation-dropout-normalization block with the fast instance normalization.

    ``["prelu", {"num_parameters": "channels"}]`` has one slope per channel in every layer.
    """
    return OrderedADN(
        ordering=ordering,
        in_channels=channels,
        act=_with_channels(act, channels),
        norm=with_fast_instance_norm(norm),
        norm_dim=spatial_dims,
        dropout=dropout,
        dropout_dim=spatial_dims,
    )


def _with_channels(act: Any, channels: int) -> Any:
    """Replace the value ``"channels"`` in the options of an activation by the number of channels."""
    if isinstance(act, (list, tuple)) and len(act) == 2 and isinstance(act[1], Mapping):
        return act[0], {key: channels if value == "channels" else value for key, value in act[1].items()}
    return act


def conv_stack(
    spatial_dims: int, in_channels: int, mid_channels: int, out_channels: int, *, convs: int, **options: Any
) -> nn.Sequential:
    """Build ``convs`` :class:`ConvADN` one after the other, through ``mid_channels`` to ``out_channels``."""
    widths = [in_channels] + [mid_channels] * (convs - 1) + [out_channels]
    return nn.Sequential(*(ConvADN(spatial_dims, a, b, **options) for a, b in pairwise(widths)))


def preactivated(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    *,
    stride: int = 1,
    bias: bool = True,
    act: Any,
    norm: Any,
) -> list[nn.Module]:
    """Build normalization and activation, then a convolution that keeps the size or divides it by ``stride``."""
    conv = Conv[Conv.CONV, spatial_dims]
    return [
        adn(spatial_dims, in_channels, act=act, norm=norm, ordering="NA"),
        conv(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=bias),
    ]


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
        groups: number of separate groups of channels.
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
        act: MONAI activation option after both convolutions; None where the activation comes before the layer.
        norm: MONAI normalization option after both convolutions, or None.
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
