"""VoxResNet: voxelwise residual network whose classes are read from four resolutions, and its auto-context form.

Paper: Chen et al., VoxResNet: Deep Voxelwise Residual Networks for Volumetric Brain Segmentation,
https://arxiv.org/abs/1608.05895. Differs from the paper: an attention mechanism may follow every stage; widths, modules
and stages are arguments; any size of input: strided convolutions round up, and what a transposed convolution then
has too much is after the last voxel and is cropped, so that the grids stay aligned. The two networks of
:class:`AutoContext` can be trained together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Union, get_args

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.check_choice import check_choice
from bundle.utils.option_checks import check_level_channels, check_not_negative, check_positive, check_spatial_dims

from .blocks.convolution import adn, preactivated

Activation = Literal["softmax", "sigmoid"]


class VoxResNet(nn.Module):
    """VoxResNet in 2D or 3D; returns logits in training and in evaluation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: number of classes.
        channels: channels of every stage, from the finest; every further stage halves the size, rounding up.
        modules: residual modules of every stage except the first.
        context_channels: further channels of the input after those of the image: the probabilities of another network.
        attention: mechanism at the end of every stage, before it is read, see
            :func:`bundle.attention.get_attention_layer`.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
        deep_supervision: in training, return a list of logits, all of full size: the sum first, then what is read from
            every stage, finest first.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = VoxResNet(3, 1, 3, channels=[4, 8], modules=1)
        >>> net(torch.rand(1, 1, 8, 8, 10)).shape
        torch.Size([1, 3, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (32, 64, 64, 64),
        modules: int = 2,
        context_channels: int = 0,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_level_channels(channels)
        check_positive(modules=modules)
        check_not_negative(context_channels=context_channels)
        options = {"act": act, "norm": norm}
        self.stages, self.gates, self.taps = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(channels):
            if level == 0:
                stage = _first_stage(spatial_dims, in_channels + context_channels, width, **options)
            else:
                stage = _stage(spatial_dims, channels[level - 1], width, modules=modules, **options)
            size = None if spatial_size is None else [-(-int(extent) // 2**level) for extent in spatial_size]
            self.stages.append(stage)
            self.gates.append(get_attention_layer(attention, spatial_dims, width, size))
            self.taps.append(Tap(spatial_dims, width, out_channels, stride=2**level, act=act))
        self.deep_supervision = deep_supervision
        self.min_size = 2 ** (len(channels) - 1)

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels + context_channels, ...)``.

        With ``deep_supervision``, training returns a list of them: the sum, then those of every stage.

        Raises:
            ValueError: when a spatial axis is shorter than ``2 ** (len(channels) - 1)``, the stride of the last stage.
        """
        size = list(x.shape[2:])
        if min(size) < self.min_size:
            raise ValueError(f"every spatial axis needs at least {self.min_size} voxels, got {size}.")
        read: list[torch.Tensor] = []
        for stage, gate, tap in zip(self.stages, self.gates, self.taps):  # noqa: B905 - TorchScript
            x = gate(stage(x))
            read.append(tap(x, size))
        total = read[0]
        for logits in read[1:]:
            total = total + logits
        if self.deep_supervision and self.training:
            return [total] + read  # noqa: RUF005 - TorchScript
        return total


class AutoContext(nn.Module):
    """Two VoxResNets: the second sees the image and the probabilities of the first; returns logits.

    The paper trains the second on the finished first one: load the weights of ``first`` and call
    ``first.requires_grad_(False)``. Otherwise both are trained together.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: number of classes.
        channels: this and the following options of both networks, see :class:`VoxResNet`.
        modules: see :class:`VoxResNet`.
        attention: see :class:`VoxResNet`.
        spatial_size: see :class:`VoxResNet`.
        act: see :class:`VoxResNet`.
        norm: see :class:`VoxResNet`.
        deep_supervision: in training, return a list of logits: that of the second network, then that of the first.
        activation: activation that gives probabilities: ``"softmax"`` for exclusive classes, ``"sigmoid"`` for
            others.

    Raises:
        ValueError: when ``activation`` is unknown or gives no probability for a single class, or an option of
            :class:`VoxResNet` is out of range.

    Examples:
        >>> net = AutoContext(3, 1, 3, channels=[4, 8], modules=1)
        >>> net(torch.rand(1, 1, 8, 8, 10)).shape
        torch.Size([1, 3, 8, 8, 10])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        channels: Sequence[int] = (32, 64, 64, 64),
        modules: int = 2,
        attention: AttentionSpec = None,
        spatial_size: Sequence[int] | None = None,
        act: Any = "relu",
        norm: Any = "batch",
        deep_supervision: bool = False,
        activation: Activation = "softmax",
    ) -> None:
        super().__init__()
        check_choice("activation", activation, get_args(Activation))
        if activation == "softmax" and out_channels == 1:
            raise ValueError("activation must be 'sigmoid' for one class: its softmax is 1 everywhere.")
        options: dict[str, Any] = {
            "channels": channels,
            "modules": modules,
            "attention": attention,
            "spatial_size": spatial_size,
            "act": act,
            "norm": norm,
            "deep_supervision": deep_supervision,
        }
        self.first = VoxResNet(spatial_dims, in_channels, out_channels, **options)
        self.second = VoxResNet(spatial_dims, in_channels, out_channels, context_channels=out_channels, **options)
        self.exclusive = activation == "softmax"

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the logits ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        With ``deep_supervision``, training returns a list of them.

        Raises:
            ValueError: when a spatial axis is too short, as in :class:`VoxResNet`.
        """
        first = self.first(x)
        logits = first if isinstance(first, torch.Tensor) else first[0]
        probabilities = torch.softmax(logits, dim=1) if self.exclusive else torch.sigmoid(logits)
        second = self.second(torch.cat([x, probabilities.to(x.dtype)], dim=1))
        if isinstance(first, torch.Tensor) or isinstance(second, torch.Tensor):
            return second
        return second + first


class VoxRes(nn.Module):
    """A residual module: ``x + conv(act(norm(conv(act(norm(x))))))``, convolutions of size 3.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the map.
        act: MONAI activation option.
        norm: MONAI normalization option, or None.
    """

    def __init__(self, spatial_dims: int, channels: int, *, act: Any, norm: Any) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *preactivated(spatial_dims, channels, channels, act=act, norm=norm, bias=norm is None),
            *preactivated(spatial_dims, channels, channels, act=act, norm=norm),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a map of the shape of ``x`` ``(B, channels, ...)``."""
        return x + self.residual(x)


class Tap(nn.Module):
    """Logits of full size from a stage: transposed convolution, activation, convolution of size 3.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the stage.
        out_channels: number of classes.
        stride: voxels of the image per voxel of the stage.
        act: MONAI activation option.
    """

    def __init__(self, spatial_dims: int, channels: int, out_channels: int, *, stride: int, act: Any) -> None:
        super().__init__()
        deconv = Conv[Conv.CONVTRANS, spatial_dims]
        self.deconv = deconv(channels, channels, stride + 2, stride=stride, padding=1)
        self.head = nn.Sequential(
            adn(spatial_dims, channels, act=act, norm=None, ordering="A"),
            Conv[Conv.CONV, spatial_dims](channels, out_channels, 3, padding=1),
        )

    def forward(self, x: torch.Tensor, size: list[int]) -> torch.Tensor:
        """Return the logits ``(B, out_channels, *size)`` of the stage ``x`` ``(B, channels, ...)``."""
        x = self.deconv(x)
        for axis, extent in enumerate(size):
            x = x.narrow(axis + 2, 0, extent)
        return self.head(x)


def _first_stage(spatial_dims: int, in_channels: int, channels: int, *, act: Any, norm: Any) -> nn.Sequential:
    conv = Conv[Conv.CONV, spatial_dims]
    return nn.Sequential(
        conv(in_channels, channels, 3, padding=1, bias=norm is None),
        adn(spatial_dims, channels, act=act, norm=norm, ordering="NA"),
        conv(channels, channels, 3, padding=1),
    )


def _stage(spatial_dims: int, in_channels: int, channels: int, *, modules: int, act: Any, norm: Any) -> nn.Sequential:
    return nn.Sequential(
        *preactivated(spatial_dims, in_channels, channels, stride=2, act=act, norm=norm),
        *(VoxRes(spatial_dims, channels, act=act, norm=norm) for _ in range(modules)),
    )
