"""Stacked hourglass: heat maps of landmarks, refined from stack to stack.

Papers: Newell et al., Stacked Hourglass Networks for Human Pose Estimation, https://arxiv.org/abs/1603.06937; with
attention over the levels of all stacks, for the labeling of intervertebral discs, Azad et al.,
https://arxiv.org/abs/2108.06554. Differs from them: any number of input channels, any size of input, and optionally
heat maps at a quarter of its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Union

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import nn
from torch.nn import functional

from bundle.attention.attention_factory import AttentionSpec, get_attention_layer
from bundle.utils.option_checks import check_group_positive, check_positive, check_spatial_dims, fill_options

from .blocks.convolution import adn, preactivated
from .blocks.padding import crop_to_image, pad_to_multiple

STRIDE = 4
"""Pixels of the image per cell of the maps that the stacks work on, along an axis."""

RELU = ("relu", {"inplace": True})
HOURGLASS_DEFAULTS: dict[str, Any] = {"depth": 4, "blocks": 1}


class StackedHourglass(nn.Module):
    """Stacked hourglass network in 2D or 3D; returns heat maps without an activation.

    A cell i of a map of a quarter of the size has its center at input pixel ``(i + 0.5) * 4 - 0.5``. Inputs whose sides
    are not multiples of ``4 * 2 ** depth`` are padded with zeros at the far ends, and the maps are cropped.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: number of landmarks.
        stacks: number of hourglasses, each of which sees the maps of the previous one.
        hourglass: options of an hourglass: ``depth``, how often it halves its maps (4); ``blocks``, residual blocks at
            every scale (1).
        width: channels inside the residual blocks; the maps between them have twice as many. Even.
        attention: True for the published gate: one number per cell, computed from the features of all stacks, weights
            the features of the last one. Or the name of a mechanism between an hourglass and its output, see
            :func:`bundle.attention.get_attention_layer`; ``"lka"`` is that of HCA-Net
            (https://arxiv.org/abs/2311.12486). False or None for none.
        spatial_size: spatial size of the training patch. The slice mechanisms need it; it does not limit the input.
        upsample: enlarge the maps linearly to the size of the input, as published; otherwise they keep a quarter of
            it, rounded up.
        deep_supervision: in training, return a list with the maps of every stack, those of the last one first.
        act: MONAI activation option.
        norm: MONAI normalization option. Batch normalization cannot train on a single image whose deepest map is a
            single cell, that is, of at most ``4 * 2 ** depth`` pixels per side.

    Raises:
        ValueError: when an option is out of range; the message starts with its name.

    Examples:
        >>> net = StackedHourglass(2, 1, 11, width=8, hourglass={"depth": 2})
        >>> [maps.shape for maps in net(torch.rand(1, 1, 64, 48))]
        [torch.Size([1, 11, 64, 48]), torch.Size([1, 11, 64, 48])]
        >>> net.eval()(torch.rand(1, 1, 64, 48)).shape
        torch.Size([1, 11, 64, 48])
    """

    STEM = "stem.0.weight"
    """Key of the weights that see the input, for :func:`fold_input_channels`."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        stacks: int = 2,
        hourglass: Mapping[str, Any] | None = None,
        width: int = 128,
        attention: bool | AttentionSpec = True,
        spatial_size: Sequence[int] | None = None,
        upsample: bool = True,
        deep_supervision: bool = True,
        act: Any = RELU,
        norm: Any = "batch",
    ) -> None:
        super().__init__()
        check_spatial_dims(spatial_dims)
        check_positive(stacks=stacks)
        hourglass = fill_options("hourglass", hourglass, HOURGLASS_DEFAULTS)
        check_group_positive("hourglass", hourglass, *hourglass)
        if width < 2 or width % 2:
            raise ValueError(f"width must be even and at least 2, got {width}.")
        gated, mechanism = _split_attention(attention)
        options = {"act": act, "norm": norm}
        features, size = 2 * width, None if spatial_size is None else [-(-int(side) // STRIDE) for side in spatial_size]
        conv = Conv[Conv.CONV, spatial_dims]
        self.stem = nn.Sequential(
            conv(in_channels, width // 2, 7, stride=2, padding=3),
            adn(spatial_dims, width // 2, **options, ordering="NA"),
            PreActResidual(spatial_dims, width // 2, width, **options),
            Pool[Pool.MAX, spatial_dims](kernel_size=2),
            PreActResidual(spatial_dims, width, features, **options),
            PreActResidual(spatial_dims, features, features, **options),
        )
        self.stages, self.heads, self.feedbacks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stack in range(stacks):
            gate = get_attention_layer(mechanism, spatial_dims, features, size)
            self.stages.append(_stage(spatial_dims, features, gate, **hourglass, **options))
            self.heads.append(conv(features, out_channels, 1))
            if stack < stacks - 1:
                self.feedbacks.append(Feedback(spatial_dims, features, out_channels))
        self.last_stage, self.last_head = self.stages.pop(-1), self.heads.pop(-1)
        self.gate = LevelGate(spatial_dims, stacks * features, width, **options) if gated else None
        self.deep_supervision, self.upsample = deep_supervision, upsample
        self.mode = {2: "bilinear", 3: "trilinear"}[spatial_dims]
        self.factor = STRIDE * 2 ** hourglass["depth"]

    def forward(self, x: torch.Tensor) -> Union[torch.Tensor, list[torch.Tensor]]:  # noqa: UP007 - TorchScript reads it
        """Return the heat maps ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``.

        With ``deep_supervision``, training returns a list of them, those of the last stack first.

        Raises:
            ValueError: when a spatial axis is empty.
        """
        size = list(x.shape[2:])
        maps, levels = self.run_stacks(x)
        last = levels[-1]
        if self.gate is not None:
            last = last * self.gate(torch.cat(levels, dim=1))
        maps.append(self.last_head(last))
        if self.deep_supervision and self.training:
            return [self.fit(each, size, self.upsample) for each in maps][::-1]
        return self.fit(maps[-1], size, self.upsample)

    def run_stacks(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the heat maps of all stacks except the last, and the features of all, at a quarter of the size."""
        x = self.stem(pad_to_multiple(x, self.factor))
        maps: list[torch.Tensor] = []
        levels: list[torch.Tensor] = []
        for stage, head, feedback in zip(self.stages, self.heads, self.feedbacks):  # noqa: B905 - TorchScript
            levels.append(stage(x))
            maps.append(head(levels[-1]))
            x = feedback(x, levels[-1], maps[-1])
        levels.append(self.last_stage(x))
        return maps, levels

    def fit(self, x: torch.Tensor, size: list[int], enlarge: bool) -> torch.Tensor:
        """Crop a map to an image of the size ``size``, at a quarter of it or enlarged to it."""
        if enlarge:
            x = functional.interpolate(x, size=[4 * side for side in x.shape[2:]], mode=self.mode, align_corners=False)
        return crop_to_image(x, size, 1 if enlarge else 4)

    def attention_map(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gate of the last stack, 0 to 1, enlarged to the size of ``x``: ``(B, 1, ...)``.

        Raises:
            ValueError: when the network was built without the gate.
        """
        if self.gate is None:
            raise ValueError("the network has no gate over its levels; build it with attention=True.")
        levels = self.run_stacks(x)[1]
        return self.fit(self.gate(torch.cat(levels, dim=1)), list(x.shape[2:]), True)


class PreActResidual(nn.Module):
    """Pre-activated bottleneck: 1x1, 3x3 and 1x1 convolution, plus the shortcut.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output, of which the bottleneck has half; where they differ from those of the
            input, the shortcut is a 1x1 convolution.
        act: MONAI activation option.
        norm: MONAI normalization option.
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int, *, act: Any, norm: Any) -> None:
        super().__init__()
        conv, middle = Conv[Conv.CONV, spatial_dims], out_channels // 2
        options = {"act": act, "norm": norm}
        self.convs = nn.Sequential(
            *preactivated(spatial_dims, in_channels, middle, 1, **options),
            *preactivated(spatial_dims, middle, middle, 3, **options),
            *preactivated(spatial_dims, middle, out_channels, 1, **options),
        )
        self.shortcut = nn.Identity() if in_channels == out_channels else conv(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, out_channels, ...)`` of ``x`` ``(B, in_channels, ...)``."""
        return self.shortcut(x) + self.convs(x)


class Hourglass(nn.Module):
    """Halve a map ``depth`` times and enlarge it again, with a residual branch at every scale.

    Args:
        spatial_dims: number of spatial axes, 2 or 3.
        channels: channels of the map, even.
        depth: how often the map is halved.
        blocks: residual blocks at every scale.
        act: MONAI activation option.
        norm: MONAI normalization option.
    """

    def __init__(self, spatial_dims: int, channels: int, depth: int, blocks: int, *, act: Any, norm: Any) -> None:
        super().__init__()
        options = {"act": act, "norm": norm}
        self.side = _residuals(spatial_dims, channels, blocks, **options)
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)
        self.down = _residuals(spatial_dims, channels, blocks, **options)
        if depth > 1:
            self.inner: nn.Module = Hourglass(spatial_dims, channels, depth - 1, blocks, **options)
        else:
            self.inner = _residuals(spatial_dims, channels, blocks, **options)
        self.up = _residuals(spatial_dims, channels, blocks, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a map of the shape of ``x`` ``(B, channels, ...)``, whose sides halve ``depth`` times."""
        side = self.side(x)
        low = self.up(self.inner(self.down(self.pool(x))))
        return side + functional.interpolate(low, size=side.shape[2:], mode="nearest")


class Feedback(nn.Module):
    """Add the features and the heat maps of a stack to the input of the next one."""

    def __init__(self, spatial_dims: int, channels: int, landmarks: int) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.features, self.maps = conv(channels, channels, 1), conv(landmarks, channels, 1)

    def forward(self, x: torch.Tensor, features: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Return the sum, of the shape of ``x``."""
        return x + self.features(features) + self.maps(maps)


class LevelGate(nn.Sequential):
    """One gate per cell, 0 to 1, from the features of all stacks: 1x1 convolutions to width, its 8th, its 16th, one."""

    def __init__(self, spatial_dims: int, in_channels: int, width: int, *, act: Any, norm: Any) -> None:
        widths = [in_channels, width, max(width // 8, 1), max(width // 16, 1)]
        conv = Conv[Conv.CONV, spatial_dims]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [conv(before, after, 1, bias=False), adn(spatial_dims, after, act=act, norm=norm, ordering="NA")]
        super().__init__(*layers, conv(widths[-1], 1, 1, bias=False), nn.Sigmoid())


def fold_input_channels(state: Mapping[str, torch.Tensor], key: str = StackedHourglass.STEM) -> dict[str, torch.Tensor]:
    """Return the weights of a one-channel network from those of a network with the same image in all channels.

    A convolution of equal channels is that of one channel with the sum of the weights.

    Args:
        state: state dict of the network of several channels.
        key: key of the convolution that sees the input, ``(out, in, ...)``.

    Raises:
        ValueError: when ``state`` has no such key.
    """
    if key not in state:
        raise ValueError(f"key {key!r} is not in the state dict, which holds {', '.join(list(state)[:3])} and others.")
    return {**state, key: state[key].sum(dim=1, keepdim=True)}


def _residuals(spatial_dims: int, channels: int, blocks: int, **options: Any) -> nn.Sequential:
    return nn.Sequential(*(PreActResidual(spatial_dims, channels, channels, **options) for _ in range(blocks)))


def _stage(
    spatial_dims: int, channels: int, attention: nn.Module, *, depth: int, blocks: int, **options: Any
) -> nn.Sequential:
    """Build an hourglass and the layers from it to the features of its stack."""
    return nn.Sequential(
        Hourglass(spatial_dims, channels, depth, blocks, **options),
        _residuals(spatial_dims, channels, blocks, **options),
        attention,
        Conv[Conv.CONV, spatial_dims](channels, channels, 1),
        adn(spatial_dims, channels, **options, ordering="NA"),
    )


def _split_attention(attention: bool | AttentionSpec) -> tuple[bool, AttentionSpec]:
    """Return whether there is a gate over the levels, and the mechanism within the stages.

    MONAI passes ``--attention false`` on as the text ``"false"``.
    """
    if isinstance(attention, bool):
        return attention, None
    if isinstance(attention, str) and attention.lower() in ("true", "false"):
        return attention.lower() == "true", None
    return False, attention
