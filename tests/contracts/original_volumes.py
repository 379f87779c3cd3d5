"""The eleven volumetric networks that slice attention was published with, spelled out from their definitions.

Oracles for the conversion of checkpoints. Attributes have the names that make the keys of the state dict those of the
original; everything runs in loops over slices and channels and shares no code with the package. A batch is one volume.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Options:
    """Options of the original: widths are ``fmaps`` times 1, 2, 4, 8, of a V-Net half as many."""

    in_channels: int = 1
    out_channels: int = 3
    fmaps: int = 4
    order: str = "cpi"
    groups: int = 2
    depth: int = 32
    slice_reduction: int = 4
    channel_reduction: int = 2
    slice_pooling: str = "avg"
    channel_pooling: str = "avg"


class Swish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / (1 + torch.exp(-x))


class Mish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.tanh(torch.log(1 + torch.exp(x)))


def layer(letter: str, channels: int, groups: int) -> tuple[str, nn.Module]:
    """Return an activation or a norm and its name."""
    if letter == "g":
        return "groupnorm", nn.GroupNorm(min(groups, channels), channels)
    return {
        "r": ("ReLU", nn.ReLU()),
        "l": ("LeakyReLU", nn.LeakyReLU(0.1)),
        "e": ("ELU", nn.ELU()),
        "p": ("pReLU", nn.PReLU(channels)),
        "s": ("swish", Swish()),
        "m": ("Mish", Mish()),
        "i": ("instancenorm", nn.InstanceNorm3d(channels, affine=True)),
        "b": ("batchnorm", nn.BatchNorm3d(channels)),
    }[letter]


def unit(options: Options, channels: Sequence[int], kernel: int, *, deconv: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size, or with a kernel of 2 halves or doubles it, and the layers after it."""
    bias = not set(options.order) & {"g", "b"}
    kind, name = (nn.ConvTranspose3d, "convtranspose3d") if deconv else (nn.Conv3d, "conv")
    steps = {"stride": 2, "padding": 0} if kernel == 2 else {"stride": 1, "padding": kernel // 2}
    conv = (name, kind(*channels, kernel, bias=bias, **steps))
    layers = [conv if one == "c" else layer(one, channels[1], options.groups) for one in options.order]
    return nn.Sequential(OrderedDict(layers))


def mlp(size: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, size))


class ChannelGate(nn.Module):
    """A gate a channel; given key slices, from their mean alone, whatever the pooling is called."""

    def __init__(self, channels: int, reduction: int, pooling: str) -> None:
        super().__init__()
        self.pooling, self.fc = pooling, mlp(channels, channels // min(reduction, channels))

    def forward(self, x: torch.Tensor, keys: list[torch.Tensor] | None = None) -> torch.Tensor:
        channels = range(x.shape[1])
        if keys is None:
            mean = torch.stack([x[0, c].mean() for c in channels])
            maximum = torch.stack([x[0, c].max() for c in channels])
        else:
            mean = maximum = torch.stack([x[0, c][keys[c]].mean() for c in channels])
        logits = {"avg": [mean], "max": [maximum], "avg_and_max": [mean, maximum]}[self.pooling]
        gate = torch.sigmoid(sum(self.fc(z) for z in logits))
        return torch.stack([x[0, c] * gate[c] for c in channels])[None]


class OneChannel(nn.Module):
    def __init__(self, slices: int, reduction: int) -> None:
        super().__init__()
        self.fc = mlp(slices, slices // reduction)


class SliceGate(nn.Module):
    """A gate a channel and slice. Progressive attention has true maximum pooling, and no limit to the reduction."""

    def __init__(self, channels: int, slices: int, reduction: int, pooling: str, *, progressive: bool) -> None:
        super().__init__()
        self.pooling, self.progressive = pooling, progressive
        ratio = reduction if progressive else min(reduction, slices)
        self.Slice_SE_encoder = nn.ModuleList([OneChannel(slices, ratio) for _ in range(channels)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        output, keys = [], []
        for channel, own in enumerate(self.Slice_SE_encoder):
            planes = x[0, channel]
            mean = torch.stack([plane.mean() for plane in planes])
            maximum = torch.stack([plane.max() for plane in planes]) if self.progressive else mean
            logits = {"avg": [mean], "max": [maximum], "avg_and_max": [mean, maximum]}[self.pooling]
            gate = torch.sigmoid(sum(own.fc(z) for z in logits))
            share = torch.exp(gate) / torch.exp(gate).sum()
            keys.append(share >= share.mean())
            output.append(torch.stack([plane * weight for plane, weight in zip(planes, gate, strict=True)]))
        return torch.stack(output)[None], keys


class Projection(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.relu = nn.PReLU(channels // 2)
        self.conv_c = nn.Conv3d(channels, channels // 2, 1)
        self.conv_cT = nn.Conv3d(channels // 2, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axes = [[a for a in (2, 3, 4) if a != kept] for kept in (2, 3, 4)]
        z = sum(x.mean(pair, keepdim=True).expand_as(x) for pair in axes) / 3
        return x * torch.sigmoid(self.conv_cT(self.relu(self.conv_c(z))))


class Level(nn.Module):
    """What all levels share: the gates ``prefix + "cSE"`` and ``prefix + "sSE"``, in the order of the model."""

    def gates(self, kind: str, prefix: str, options: Options, channels: int, slices: int) -> None:
        self.kind, self.prefix = kind, prefix
        channel = ChannelGate(channels, options.channel_reduction, options.channel_pooling)
        if kind in ("csSE", "scSE", "agscSE"):
            slice_options = (options.slice_reduction, options.slice_pooling)
            gate = SliceGate(channels, slices, *slice_options, progressive=kind == "agscSE")
            first, second = ("cSE", channel), ("sSE", gate)
            if prefix and kind != "csSE":  # V-Nets list the channel gate first, whatever runs first
                first, second = second, first
            self.add_module(prefix + first[0], first[1])
            self.add_module(prefix + second[0], second[1])
        elif kind == "cSE":
            self.add_module(prefix + "cSE", channel)

    def weight(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "":
            return x
        channel = getattr(self, self.prefix + "cSE")
        if self.kind == "cSE":
            return channel(x)
        slices = getattr(self, self.prefix + "sSE")
        if self.kind == "csSE":
            return slices(channel(x))[0]
        x, keys = slices(x)
        return channel(x, keys if self.kind == "agscSE" else None)


class UNetLevel(Level):
    def __init__(self, kind: str, side: str, options: Options, channels: Sequence[int], slices: int) -> None:
        super().__init__()
        first, middle, last = channels
        pairs = {"Conv1": unit(options, (first, middle), 3), "Conv2": unit(options, (middle, last), 3)}
        self.basic_module = nn.Sequential(OrderedDict(pairs))
        if kind == "PE" and side == "encoder":
            self.pe_layer = Projection(last)
        self.gates("" if kind == "PE" else kind, f"{side}_", options, last, slices)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.basic_module(x)
        return self.weight(self.pe_layer(x) if hasattr(self, "pe_layer") else x)


class UNet(nn.Module):
    def __init__(self, kind: str, options: Options) -> None:
        super().__init__()
        self.mode = "trilinear" if kind in ("PE", "agscSE") else "nearest"
        widths = [options.fmaps * 2**level for level in range(4)]
        slices = [options.depth // 2**level for level in range(4)]
        before = options.in_channels
        for level, width in enumerate(widths):
            channels = (before, max(width // 2, before), width)
            self.add_module(f"EncoderLayer{level + 1}", UNetLevel(kind, "encoder", options, channels, slices[level]))
            before = width
        for step, level in enumerate((2, 1, 0)):
            channels = (widths[level + 1] + widths[level], widths[level], widths[level])
            self.add_module(f"DecoderLayer{step + 1}", UNetLevel(kind, "decoder", options, channels, slices[level]))
        self.final_conv = nn.Conv3d(widths[0], options.out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level in range(4):
            x = getattr(self, f"EncoderLayer{level + 1}")(functional.max_pool3d(x, 2) if level else x)
            skips.append(x)
        for step, level in enumerate((2, 1, 0)):
            skip = skips[level]
            x = functional.interpolate(x, size=skip.shape[2:], mode=self.mode)
            x = getattr(self, f"DecoderLayer{step + 1}")(torch.cat([skip, x], dim=1))
        return self.final_conv(x)


class Residual(nn.Module):
    def __init__(self, options: Options, convs: int, in_channels: int, channels: int) -> None:
        super().__init__()
        layers = []
        for number in range(convs):
            before, bias = (channels if number else in_channels), not set(options.order) & {"g", "b"}
            for letter in options.order:
                if letter == "c":
                    layers.append(nn.Conv3d(before, channels, 5, padding=2, bias=bias))
                elif letter in "igb" or number < convs - 1:
                    layers.append(layer(letter, channels, 8)[1])
        self.convblock = nn.Sequential(*layers)
        act = next(letter for letter in options.order if letter not in "cigb")
        self.final_nolinear_activation = layer(act, channels, 8)[1]

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        return self.final_nolinear_activation(self.convblock(x) + shortcut)


class VNetLevel(Level):
    def __init__(
        self, kind: str, options: Options, convs: int, channels: Sequence[int], slices: int, *, encoder: bool
    ) -> None:
        super().__init__()
        before, width, other = channels
        self.conv_layer = Residual(options, convs, before, width)
        if encoder:
            self.downsample_layer = unit(options, (width, other), 2)
        else:
            self.upsample_layer = unit(options, (other, width), 2, deconv=True)
        self.gates(kind, "", options, width, slices)


class VNet(nn.Module):
    """Its option ``groups`` is that of the bottleneck; all other layers have 8."""

    def __init__(self, kind: str, options: Options) -> None:
        super().__init__()
        given, options = options, Options(**{**vars(options), "groups": 8})
        widths = [options.fmaps // 2 * 2**level for level in range(5)]
        for level in range(4):
            channels = (widths[level] if level else options.in_channels, widths[level], widths[level + 1])
            block = VNetLevel(kind, options, (1, 2, 3, 3)[level], channels, options.depth // 2**level, encoder=True)
            self.add_module(f"Encoder_layer{level + 1}", block)
        self.Bottleneck_layer = unit(given, (widths[4], widths[4]), 5)
        if kind:
            self.Bottleneck_cSE = ChannelGate(widths[4], options.channel_reduction, options.channel_pooling)
        for step, level in enumerate((3, 2, 1, 0)):
            channels = (2 * widths[level], widths[level], widths[level + 1])
            block = VNetLevel(kind, options, (1, 2, 3, 3)[level], channels, options.depth // 2**level, encoder=False)
            self.add_module(f"Decoder_layer{step + 1}", block)
        self.final_conv = nn.Conv3d(widths[0], options.out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for number in (1, 2, 3, 4):
            level = getattr(self, f"Encoder_layer{number}")
            skips.append(level.weight(level.conv_layer(x, x)))
            x = level.downsample_layer(skips[-1])
        x = self.Bottleneck_layer(x)
        x = self.Bottleneck_cSE(x) if hasattr(self, "Bottleneck_cSE") else x
        for number in (1, 2, 3, 4):
            level = getattr(self, f"Decoder_layer{number}")
            x = level.upsample_layer(x)
            x = level.weight(level.conv_layer(torch.cat([skips.pop(), x], dim=1), x))
        return self.final_conv(x)


def original(model: str, options: Options = Options(), seed: int = 0) -> nn.Module:
    """Build a model by its name in the original, with random weights, in double precision and training mode.

    Running statistics of batch norms are random too.
    """
    kind, network = model[: -len("unet3d")], UNet
    if model.endswith("vnet"):
        kind, network = model[: -len("vnet")], VNet
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        built = network(kind, options).double()
    with torch.no_grad():
        for value in built.parameters():
            value.add_(0.2 * torch.randn_like(value))
        for name, value in built.named_buffers():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + ("var" in name))
    return built
