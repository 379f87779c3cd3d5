"""The networks that the progressive attention module was published with: names of their weights, and their places here.

Names and shapes are those of https://github.com/Puzzled-Hui/AttentionBased-MIS. Used by :mod:`bundle.legacy.convert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from bundle.utils.errors import BundleError

MODELS: dict[str, tuple[str, str | None]] = {
    "unet3d": ("unet", None),
    "PEunet3d": ("unet", "pe"),
    "cSEunet3d": ("unet", "se"),
    "csSEunet3d": ("unet", "csa"),
    "scSEunet3d": ("unet", "sca"),
    "agscSEunet3d": ("unet", "pam"),
    "vnet": ("vnet", None),
    "cSEvnet": ("vnet", "se"),
    "csSEvnet": ("vnet", "csa"),
    "scSEvnet": ("vnet", "sca"),
    "agscSEvnet": ("vnet", "pam"),
}
"""The models by the original's option ``--model``: network and mechanism."""

SLICED = ("csa", "sca", "pam")
ACTS: dict[str, Any] = {
    "p": ["prelu", {"num_parameters": "channels"}],
    "r": "relu",
    "l": ["leakyrelu", {"negative_slope": 0.1}],
    "e": "elu",
    "s": "swish",
    "m": "mish",
}
"""Activations by their letter in ``--layer_order``."""

LAYERS = {"c": "conv", "p": "pReLU", "i": "instancenorm", "g": "groupnorm", "b": "batchnorm"}
"""Names of the layers that have weights, by their letter."""

VNET_CONVS = (1, 2, 3, 3)
FALSE_MAXIMUM = (("csa", "slice"), ("sca", "slice"), ("pam", "channel"))
"""Gates whose maximum pooling is average pooling in the original."""

Layer = tuple[str, str]
"""A letter of the layer order and the name of a layer."""


class ConvertError(BundleError):
    """A checkpoint that cannot be converted; the message names the file."""


class OriginalState:
    """A state dict of the original, whose tensors are taken one by one, so that unused tensors are known.

    Args:
        file: where it comes from, for messages.
        state: tensors by their key.
    """

    def __init__(self, file: Path, state: Mapping[str, torch.Tensor]) -> None:
        self.file, self.keys, self.left = file, list(state), dict(state)
        places = {key: place for place, key in enumerate(self.keys)}
        pairs = [(key.removesuffix("bias") + "weight", key) for key in self.keys if key.endswith(".bias")]
        self.in_order = all(places.get(weight, -1) < places[bias] for weight, bias in pairs)

    def peek(self, key: str) -> torch.Tensor:
        """Return a tensor.

        Raises:
            ConvertError: when there is none under ``key``.
        """
        if key not in self.left:
            raise ConvertError(f"checkpoint {self.file} lacks the key {key}.")
        return self.left[key]

    def take(self, key: str) -> torch.Tensor:
        """Return a tensor and strike it off."""
        value = self.peek(key)
        del self.left[key]
        return value

    def hidden(self, layer: str) -> set[tuple[int, int]]:
        """Return inputs and outputs of the layers whose names end like the pattern ``layer``."""
        weights = [self.left[key] for key in self.left if re.search(layer + r"\.weight$", key)]
        return {(weight.shape[1], weight.shape[0]) for weight in weights if weight.ndim > 1}


def true_pooling(mechanism: str | None, gate: str, pooling: str) -> tuple[str, int]:
    """Return what a gate of the original computes: a pooling, and a factor of its logits.

    Where the original has the average in place of the maximum, both together are the average with twice the logits.
    """
    return ("avg", 2 if pooling == "avg_and_max" else 1) if (mechanism, gate) in FALSE_MAXIMUM else (pooling, 1)


class WeightMover:
    """Moves the weights of an original network to the names of this package.

    Args:
        source: weights of the original.
        order: its layer order.
        mechanism: its attention, by the name of this package.
        poolings: what it was trained with, for the gates ``"slice"`` and ``"channel"``.
    """

    def __init__(self, source: OriginalState, order: str, mechanism: str | None, poolings: Mapping[str, str]) -> None:
        self.source, self.order, self.mechanism = source, order, mechanism
        self.factors = {gate: true_pooling(mechanism, gate, pooling)[1] for gate, pooling in poolings.items()}
        self.state: dict[str, torch.Tensor] = {}

    def unet(self) -> dict[str, Any]:
        """Move the weights of a U-Net and return the options of its convolutions."""
        first = self._conv("EncoderLayer1.basic_module.Conv1.conv.weight")
        encoders = [f"EncoderLayer{number}" for number in (1, 2, 3, 4)]
        widths = [self._conv(f"{name}.basic_module.Conv2.conv.weight").shape[0] for name in encoders]
        for level, name in enumerate(encoders):
            self._double_conv(name, f"encoders.{level}.0")
            if self.mechanism == "pe":
                self._projection(f"{name}.pe_layer", f"encoders.{level}.1")
            else:
                self._attention(f"{name}.encoder_", f"encoders.{level}.1", widths[level])
        for level in range(3):
            self._double_conv(f"DecoderLayer{level + 1}", f"decoders.{level}.0")
            if self.mechanism != "pe":
                self._attention(f"DecoderLayer{level + 1}.decoder_", f"decoders.{level}.1", widths[2 - level])
        return {
            "in_channels": first.shape[1],
            "out_channels": self._copy("final_conv", "heads.2"),
            "channels": widths,
            "levels": {"kernel_size": first.shape[-1]},
        }

    def vnet(self) -> dict[str, Any]:
        """Move the weights of a V-Net and return the options of its convolutions."""
        first = self._conv("Encoder_layer1.conv_layer.convblock.0.weight")
        encoders = [f"Encoder_layer{number}" for number in (1, 2, 3, 4)]
        widths = [self._conv(f"{name}.conv_layer.convblock.0.weight").shape[0] for name in encoders]
        widths.append(self._conv("Bottleneck_layer.conv.weight").shape[0])
        for level, name in enumerate(encoders):
            self._residual(name, f"encoders.{level}", VNET_CONVS[level], widths[level])
            self._unit(self._named(f"{name}.downsample_layer"), f"downs.{level}.0", f"downs.{level}.1")
        self._unit(self._named("Bottleneck_layer"), "bottleneck.0.0.0", "bottleneck.0.0.1")
        if self.mechanism is not None:
            self._channel_gate("Bottleneck_cSE", "bottleneck.1", 1)
        for level in range(4):
            name = f"Decoder_layer{level + 1}"
            up = self._named(f"{name}.upsample_layer", conv="convtranspose3d")
            self._unit(up, f"upsamples.{level}.deconv", f"upsample_adns.{level}")
            self._residual(name, f"decoders.{level}", VNET_CONVS[3 - level], widths[3 - level])
        return {
            "in_channels": first.shape[1],
            "out_channels": self._copy("final_conv", "heads.3"),
            "channels": widths,
            "levels": {"convs": list(VNET_CONVS), "kernel_size": first.shape[-1]},
        }

    def _conv(self, key: str) -> torch.Tensor:
        weight = self.source.peek(key)
        if weight.ndim != 5:
            raise ConvertError(
                f"checkpoint {self.source.file} has no 3D convolution under {key} but the shape {tuple(weight.shape)}."
            )
        return weight

    def _named(self, prefix: str, conv: str = "conv") -> list[Layer]:
        """Return the layers of a unit that the original names; an activation without weights has no name."""
        return [(letter, f"{prefix}.{conv if letter == 'c' else LAYERS.get(letter)}") for letter in self.order]

    def _double_conv(self, name: str, to: str) -> None:
        for number in (0, 1):
            layers = self._named(f"{name}.basic_module.Conv{number + 1}")
            self._unit(layers, f"{to}.{number}.0", f"{to}.{number}.1")

    def _residual(self, name: str, to: str, convs: int, width: int) -> None:
        """Move a residual level, whose layers the original numbers; the last activation follows the addition."""
        place = 0
        for number in range(convs):
            letters = [letter for letter in self.order if letter not in ACTS or number < convs - 1]
            layers = [(letter, f"{name}.conv_layer.convblock.{place + step}") for step, letter in enumerate(letters)]
            self._unit(layers, f"{to}.convs.{number}.0", f"{to}.convs.{number}.1")
            place += len(letters)
        act = [(letter, f"{name}.conv_layer.final_nolinear_activation") for letter in self.order if letter in ACTS]
        self._unit(act, "", f"{to}.act")
        self._attention(f"{name}.", f"{to}.attention", width)

    def _unit(self, layers: Iterable[Layer], conv: str, adn: str) -> None:
        """Move a convolution, a norm and an activation; next to a group or batch norm a convolution has no bias."""
        for letter, name in layers:
            if letter == "c" and set(self.order) & {"g", "b"}:
                self._conv(f"{name}.weight")
                weight = self._put(f"{name}.weight", f"{conv}.weight")
                channels = weight.shape[1 if name.endswith("convtranspose3d") else 0]
                self.state[f"{conv}.bias"] = weight.new_zeros(channels)
            elif letter == "c":
                self._copy(name, conv)
            elif letter == "p":
                self._put(f"{name}.weight", f"{adn}.A.weight")
            elif letter in LAYERS:
                self._copy(name, f"{adn}.N")
                for buffer in ("running_mean", "running_var", "num_batches_tracked") if letter == "b" else ():
                    self._put(f"{name}.{buffer}", f"{adn}.N.{buffer}")

    def _attention(self, name: str, to: str, channels: int) -> None:
        if self.mechanism in SLICED:
            self._slice_gates(f"{name}sSE.Slice_SE_encoder", f"{to}.slice", channels)
        if self.mechanism is not None:
            self._channel_gate(f"{name}cSE", to, self.factors["channel"])

    def _channel_gate(self, name: str, to: str, factor: int) -> None:
        self._copy(f"{name}.fc.0", f"{to}.channel.fc.0")
        self._copy(f"{name}.fc.2", f"{to}.channel.fc.2", factor)

    def _slice_gates(self, name: str, to: str, channels: int) -> None:
        """Stack the MLPs of the channels. One without hidden units gives its last bias, as one with a unit of zeros."""
        for number, layer in ((1, "fc.0"), (2, "fc.2")):
            for part in ("weight", "bias"):
                values = [self.source.take(f"{name}.{channel}.{layer}.{part}") for channel in range(channels)]
                if len({value.shape for value in values}) > 1:
                    raise ConvertError(f"checkpoint {self.source.file} has channels of several shapes under {name}.")
                value = torch.stack(values)
                if 0 in value.shape:
                    value = value.new_zeros([size or 1 for size in value.shape])
                self.state[f"{to}.{part}{number}"] = value * self.factors["slice"] if number == 2 else value

    def _projection(self, name: str, to: str) -> None:
        self._put(f"{name}.conv_c.weight", f"{to}.conv1.weight")
        self.state[f"{to}.bias1"] = self.source.take(f"{name}.conv_c.bias").reshape(-1, 1, 1, 1)
        self._put(f"{name}.relu.weight", f"{to}.act.weight")
        self._copy(f"{name}.conv_cT", f"{to}.conv2")

    def _copy(self, name: str, to: str, factor: int = 1) -> int:
        """Move weight and bias of a layer; return the number of its outputs."""
        self._put(f"{name}.weight", f"{to}.weight", factor)
        return self._put(f"{name}.bias", f"{to}.bias", factor).numel()

    def _put(self, key: str, to: str, factor: int = 1) -> torch.Tensor:
        value = self.source.take(key)
        self.state[to] = value * factor if factor != 1 else value
        return value
