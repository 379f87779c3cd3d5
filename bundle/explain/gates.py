"""The gates of the slice mechanisms (``sa``, ``csa``, ``sca``, ``pam``), read out: weights and key slices.

Paper: Progressive attention module for segmentation of volumetric medical images, Medical Physics (2022), whose gates
these are. A network runs window by window; each window has gates of its own, and deeper levels have fewer slices. Here
every gate is brought to the slices of the volume, averaged over the windows that hold the slice, and then to the slices
of the input file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type
from torch import nn

from bundle.attention.pam import ProgressiveAttention, key_slices
from bundle.attention.sa import SliceAttention
from bundle.attention.squeeze import SliceChannelModule
from bundle.inference.slab import SlabInferer
from bundle.utils.write_json import write_json
from bundle.visualize.overlay import COLORS

from .case_record import case_record, require_matplotlib

ENDS = (("left", "right"), ("posterior", "anterior"), ("inferior", "superior"))
"""Where the axes of a volume in RAS+ order begin and end."""


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
    """Segment a volume and read the gates on the way; they are kept as ``levels`` until the next volume.

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
        tells no window where it lies.

        Args:
            inputs: one volume ``(1, C, D, H, W)``.
            network: network to run.
            args: not used.
            kwargs: not used.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        blocks = slice_blocks(network)
        axes = sorted({block.slice_dim % 3 for block in blocks.values()})
        totals = {name: _Total(block, image.shape[2 + block.slice_dim % 3]) for name, block in blocks.items()}
        numbers = [_slice_numbers(image, axis) for axis in axes]

        def run(windows: torch.Tensor) -> torch.Tensor:
            images, places = windows.split([image.shape[1], len(axes)], dim=1)
            with _recorded(blocks) as outputs:
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
def _recorded(blocks: Mapping[str, nn.Module]) -> Iterator[dict[str, dict[str, torch.Tensor]]]:
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


class _Total:
    """Sums of the gates of one block over windows; column 0 collects what lies in the padding."""

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


@dataclass
class InputSlices:
    """Slices of an input file along an axis of the preprocessed volume.

    Attributes:
        axis: axis of the file's array.
        nearest: slice of the preprocessed volume that is closest to each slice of the file.
        position_mm: place of each slice of the file along its normal, in scanner coordinates; where the file is not
            oblique, its x, y or z coordinate.
    """

    axis: int
    nearest: np.ndarray
    position_mm: np.ndarray


def input_slices(image: MetaTensor, axis: int) -> InputSlices:
    """Find the slices of the input file along ``axis`` of the preprocessed volume ``(1, D, H, W)`` made from it."""
    before = np.asarray(image.meta["original_affine"], dtype=float)
    after = np.asarray(image.affine, dtype=float)
    to_file = np.linalg.solve(before, after)
    own_axis = int(np.abs(to_file[:3, axis]).argmax())
    numbers = np.arange(int(np.asarray(image.meta["spatial_shape"])[own_axis]))
    places = (numbers - to_file[own_axis, 3]) / to_file[own_axis, axis]
    nearest = places.round().astype(int).clip(0, image.shape[1 + axis] - 1)
    normal = after[:3, axis] / np.linalg.norm(after[:3, axis])
    positions = normal @ before[:3, 3] + (normal @ before[:3, own_axis]) * numbers
    return InputSlices(own_axis, nearest, positions)


class SaveGatesd(MapTransform):
    """Write the gates of a case by the slices of its input file: table, record and picture.

    ``<output_dir>/<case>_gates.csv`` has a row a level, channel and slice; ``<case>_gates.json`` has the mean and range
    over the channels and the share of channels for which a slice is key; ``<case>_gates.png`` shows these.

    Args:
        keys: key of the label map ``(1, D, H, W)`` that ``profiles`` returned.
        profiles: what has read the gates.
        label_names: value of every structure by its name; the picture marks the slices that hold it.
        output_dir: folder to write to; made when missing.
        image_key: key of the preprocessed image; its metadata name the file.
        checkpoint: weights that were used; the record names them and their sha256.
        allow_missing_keys: do nothing for a key that is not there.

    Raises:
        ModuleNotFoundError: when matplotlib is not installed.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        profiles: GateProfiles,
        label_names: Mapping[str, int],
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        require_matplotlib("gates")
        self.profiles, self.label_names, self.output_dir = profiles, dict(label_names), Path(str(output_dir))
        self.image_key, self.checkpoint = image_key, checkpoint

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and add a record of them as ``data["result"]``."""
        d = dict(data)
        for key in self.key_iterator(d):
            record = case_record(d, self.image_key, self.checkpoint)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            table, picture = (self.output_dir / f"{record['case']}_gates.{ending}" for ending in ("csv", "png"))
            levels = [(level, input_slices(d[self.image_key], level.axis)) for level in self.profiles.levels]
            labels = d[key].detach().cpu().numpy()[0]
            _write_table(levels, table)
            save_gates(levels, picture, labels, self.label_names, title=f"{record['case']}: gates of the slices")
            files = {"table": str(table), "picture": str(picture)}
            record = {**record, **files}
            summaries = [_summary(level, slices) for level, slices in levels]
            write_json(self.output_dir / f"{record['case']}_gates.json", {**record, "levels": summaries})
            d["result"] = record
        return d


def _write_table(levels: Sequence[tuple[LevelGates, InputSlices]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["level", "channel", "slice", "position_mm", "gate", "key"])
        for level, slices in levels:
            for channel in range(level.gates.shape[0]):
                for number, (near, place) in enumerate(zip(slices.nearest, slices.position_mm, strict=True)):
                    key = "" if level.keys is None else f"{level.keys[channel, near]:.6g}"
                    gate = f"{level.gates[channel, near]:.6f}"
                    writer.writerow([level.level, channel, number, f"{place:.4f}", gate, key])


def _summary(level: LevelGates, slices: InputSlices) -> dict[str, Any]:
    gates = level.gates[:, slices.nearest].astype(float)
    keys = None if level.keys is None else level.keys[:, slices.nearest].astype(float).mean(0)
    return {
        "level": level.level,
        "channels": len(gates),
        "slices_of_level": level.own_slices,
        "input_axis": slices.axis,
        "position_mm": slices.position_mm.round(4).tolist(),
        "gate_mean": gates.mean(0).round(6).tolist(),
        "gate_min": gates.min(0).round(6).tolist(),
        "gate_max": gates.max(0).round(6).tolist(),
        "key_share": None if keys is None else keys.round(6).tolist(),
    }


def save_gates(
    levels: Sequence[tuple[LevelGates, InputSlices]],
    path: str | Path,
    labels: np.ndarray,
    label_names: Mapping[str, int],
    *,
    title: str,
) -> None:
    """Write a PNG with a panel a level: gates and key slices along the slices of the input.

    Args:
        levels: gates of every level, and the slices of the input along its axis.
        path: file to write.
        labels: label map ``(D, H, W)`` on the grid of the gates; bars mark the slices that hold a structure.
        label_names: value of every structure by its name.
        title: title of the picture.
    """
    from matplotlib.figure import Figure

    rows = (len(levels) + 1) // 2
    figure = Figure(figsize=(9, 2.2 * rows + 0.9), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, 2, sharey=True, squeeze=False).T.ravel()
    for panel, (level, slices) in zip(panels, levels, strict=False):
        _draw_level(panel, level, slices)
        _mark_structures(panel, labels, label_names, level.axis, slices)
    for panel in panels[len(levels) :]:
        panel.set_axis_off()
    handles, told = panels[0].get_legend_handles_labels()
    figure.legend(handles, told, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=100)


def _draw_level(panel: Any, level: LevelGates, slices: InputSlices) -> None:
    places, gates = np.arange(len(slices.nearest)), level.gates[:, slices.nearest]
    first, last = slices.position_mm[[0, -1]]
    ends = ENDS[level.axis] if last > first else ENDS[level.axis][::-1]
    panel.fill_between(places, gates.min(0), gates.max(0), step="mid", color="0.85", label="gate: range over channels")
    panel.step(places, gates.mean(0), where="mid", color="black", label="gate: mean over channels")
    if level.keys is not None:
        shares = level.keys[:, slices.nearest].mean(0)
        panel.step(
            places, shares, where="mid", color=COLORS[5], linestyle="--", label="share of channels, slice is key"
        )
    panel.set_title(f"{level.level}: {len(gates)} channels, {level.own_slices} slices", fontsize=9)
    told = f"slice, {ends[0]} to {ends[1]} (0 at {first:.1f} mm, {places[-1]} at {last:.1f} mm)"
    panel.set_xlabel(told, fontsize=8)
    panel.set_ylabel("gate, share", fontsize=8)
    panel.set_ylim(-0.14, 1.02)
    panel.set_yticks([0, 0.5, 1])
    panel.tick_params(labelsize=8)


def _mark_structures(
    panel: Any, labels: np.ndarray, label_names: Mapping[str, int], axis: int, slices: InputSlices
) -> None:
    """Draw a bar under the curves along the slices that hold a structure."""
    plane = tuple(other for other in range(labels.ndim) if other != axis)
    for row, (name, value) in enumerate(label_names.items()):
        held = (labels == value).any(plane)[slices.nearest]
        heights = np.where(held, -0.04 - 0.05 * (row % 2), np.nan)
        color = COLORS[(value - 1) % len(COLORS)]
        panel.plot(heights, color=color, linewidth=3, label=f"slices with {name}")
