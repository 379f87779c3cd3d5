"""The gates of the slice mechanisms (``sa``, ``csa``, ``sca``, ``pam``), read out: weights and key slices.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), whose gates
these are. A network runs window by window; each window has its gates, and deeper levels have fewer slices. Here every
gate is resampled to the slices of the volume, averaged over the windows that hold the slice, and then to the slices
of the input file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch import nn

from bundle.attention.pam import ProgressiveAttention, key_slices
from bundle.attention.sa import SliceAttention
from bundle.attention.squeeze import SliceChannelModule
from bundle.inference.slab import SlabInferer


@dataclass
class LevelGates:
    """Gates of one attention block along the slices of a volume.

    Attributes:
        level: name of the level in the network.
        axis: spatial axis of the slices, 0 to 2.
        own_slices: slices that the block weights in a window; the gates below are spread over the slices of the volume.
        gates: weight of every channel and slice ``(C, S)``, averaged over the windows that hold the slice.
        keys: share of these windows in which the slice is key for the channel ``(C, S)``; None where the mechanism
            selects no key slices.
    """

    level: str
    axis: int
    own_slices: int
    gates: np.ndarray
    keys: np.ndarray | None


class GateProfiles(Inferer):
    """Segment a volume and read the gates; they are kept as ``levels`` until the next volume.

    Args:
        network: network whose gates are read.
        roi_size: window, in voxels.
        overlap: share of a window that its neighbor covers too, see :class:`bundle.inference.SlabInferer`.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: when the network has no slice gates.
    """

    def __init__(
        self, network: nn.Module, *, roi_size: Sequence[int], overlap: float = 0.25, progress: bool = False
    ) -> None:
        super().__init__()
        if not slice_blocks(network):
            raise ValueError(
                f"attention must be 'sa', 'csa', 'sca' or 'pam' to read gates; this {type(network).__name__} has no "
                "slice gates. Pass --attention NAME and weights that were trained with it."
            )
        self.levels: list[LevelGates] = []
        self.inferer = SlabInferer(roi_size, overlap=overlap, output="labels", progress=progress)

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Return the label map ``(1, 1, D, H, W)``.

        Every window carries the number of each of its slices in further channels, 0 for padding, since the blending
        does not pass their positions to windows.

        Args:
            inputs: one volume ``(1, C, D, H, W)``.
            network: network to run.
            args: not used.
            kwargs: not used.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        blocks = slice_blocks(network)
        axes = sorted({block.slice_dim % 3 for block in blocks.values()})
        totals = {name: _GateSums(block, image.shape[2 + block.slice_dim % 3]) for name, block in blocks.items()}
        numbers = [_slice_numbers(image, axis) for axis in axes]

        def run(windows: torch.Tensor) -> torch.Tensor:
            images, places = windows.split([image.shape[1], len(axes)], dim=1)
            with _record_gates(blocks) as outputs:
                logits = network(images)
            for name, total in totals.items():
                numbers = places[0, axes.index(total.axis)].movedim(total.axis, 0).flatten(1).amax(1)
                total.add(outputs[name], numbers.long())
            return logits

        labels = self.inferer(torch.cat([image, *numbers], 1), run)
        self.levels = [total.mean(name) for name, total in totals.items()]
        return convert_to_dst_type(labels, inputs, dtype=labels.dtype)[0]


def slice_blocks(network: nn.Module) -> dict[str, SliceAttention | SliceChannelModule]:
    """Return the attention blocks of a network that weight slices, by the names of the levels that they belong to."""
    found = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, SliceAttention | SliceChannelModule)
    }
    levels = [name.rpartition(".")[0] or name for name in found]
    return dict(zip(levels if len(set(levels)) == len(levels) else found, found.values(), strict=True))


def _slice_numbers(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Return a channel for ``image`` ``(1, C, D, H, W)`` that holds the number of the slice, from 1."""
    shape = [1, 1, 1, 1, 1]
    shape[2 + axis] = -1
    numbers = torch.arange(1, image.shape[2 + axis] + 1, dtype=image.dtype, device=image.device)
    return numbers.reshape(shape).expand(1, 1, *image.shape[2:])


@contextmanager
def _record_gates(blocks: Mapping[str, nn.Module]) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
    """Keep what the slice gate ``(B, C, S)`` and the channel gate ``(B, C)`` of every block return."""
    outputs: dict[str, dict[str, torch.Tensor]] = {name: {} for name in blocks}

    def recorder(store: dict[str, torch.Tensor], part: str) -> Callable[..., None]:
        return lambda module, inputs, output: store.__setitem__(part, output)

    handles = [
        getattr(block, part).register_forward_hook(recorder(outputs[name], part))
        for name, block in blocks.items()
        for part in ("slice", "channel")
        if hasattr(block, part)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


class _GateSums:
    """Sums of the gates of one block over windows; column 0 collects the padding."""

    def __init__(self, block: SliceAttention | SliceChannelModule, slices: int) -> None:
        self.axis, self.selects_keys, self.slices = block.slice_dim % 3, isinstance(block, ProgressiveAttention), slices
        self.own_slices = 0
        self.gates = self.keys = self.count = torch.empty(0)

    def add(self, outputs: Mapping[str, torch.Tensor], numbers: torch.Tensor) -> None:
        slice_gate = outputs["slice"][0].float()
        channel_gate = outputs["channel"][0].float()[:, None] if "channel" in outputs else 1.0
        self.own_slices = slice_gate.shape[1]
        source = ((torch.arange(len(numbers)) + 0.5) * self.own_slices / len(numbers)).long()
        if not self.count.numel():
            self.count = torch.zeros(self.slices + 1)
            self.gates, self.keys = (torch.zeros(slice_gate.shape[0], self.slices + 1) for _ in range(2))
        numbers = numbers.cpu()
        self.count.index_add_(0, numbers, torch.ones(len(numbers)))
        self.gates.index_add_(1, numbers, (slice_gate * channel_gate).cpu()[:, source])
        self.keys.index_add_(1, numbers, key_slices(slice_gate[None])[0].float().cpu()[:, source])

    def mean(self, level: str) -> LevelGates:
        gates, keys = ((total[:, 1:] / self.count[1:]).numpy() for total in (self.gates, self.keys))
        return LevelGates(level, self.axis, self.own_slices, gates, keys if self.selects_keys else None)
