"""Class activation maps of a segmentation network: Grad-CAM, Grad-CAM++, HiResCAM.

Papers: Selvaraju et al., Grad-CAM, https://arxiv.org/abs/1610.02391; Chattopadhay et al., Grad-CAM++,
https://arxiv.org/abs/1710.11063; Draelos and Carin, HiResCAM, https://arxiv.org/abs/2011.08891. The first two are
``monai.visualize``'s. All of them explain one score a class, so the logits are summed over the voxels that the
segmentation gives to the class first (Vinogradova et al., Seg-Grad-CAM, https://arxiv.org/abs/2002.11434).

Differs from the papers: a volume is mapped window by window and the maps are blended as the scores of the segmentation
are; only the whole is scaled to [0, 1]. So that windows can be compared, Grad-CAM++ goes without its factor
exp(score), one number an image, which would also overflow for a sum over voxels.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import Invertd, InvertibleTransform, MapTransform
from monai.utils import convert_to_dst_type
from monai.visualize import GradCAM, GradCAMpp, ModelWithHooks
from torch import nn
from torch.nn import functional

from bundle.inference.slab import SlabInferer
from bundle.io.label_maps import save_label_map
from bundle.utils.write_json import write_json
from bundle.visualize.overlay import AXES, COLORS, _planes

from .case_record import case_record, require_matplotlib

logger = logging.getLogger(__name__)


class HiResCAM(GradCAM):
    """Gradient times activation, voxel by voxel, summed over the channels; negative sums count as 0.

    Grad-CAM averages the gradient of a channel over the map first. Behind an instance normalization, which takes no
    notice of what is added to a whole channel, that average is close to zero whatever the channel shows.
    """

    def compute_map(  # type: ignore[override]
        self, x: torch.Tensor, class_idx: Any = None, retain_graph: bool = False, layer_idx: int = -1, **kwargs: Any
    ) -> torch.Tensor:
        """Return the map of the class ``class_idx``, at the size of the layer."""
        _, activations, gradients = self.nn_module(x, class_idx=class_idx, retain_graph=retain_graph, **kwargs)
        return functional.relu((activations[layer_idx] * gradients[layer_idx]).sum(1, keepdim=True))


METHODS: dict[str, type[GradCAM]] = {"hirescam": HiResCAM, "gradcam": GradCAM, "gradcampp": GradCAMpp}
TITLES = {"hirescam": "HiResCAM", "gradcam": "Grad-CAM", "gradcampp": "Grad-CAM++"}


class MaskedScore(nn.Module):
    """One score a class ``(B, K)``: the sum of the class's logits over the voxels that belong to the class.

    Args:
        network: network that returns logits ``(B, K, ...)``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the scores of ``x`` ``(B, C, ...)``, given the label map ``(B, 1, ...)`` of its segmentation."""
        logits = self.network(x.detach().requires_grad_())
        classes = torch.arange(logits.shape[1], device=x.device).reshape(1, -1, *[1] * (x.ndim - 2))
        return (logits * (labels == classes)).flatten(2).sum(2)


class _Hooks(ModelWithHooks):
    """MONAI's hooks with a score of value zero and the gradient of the class score, see the module's docstring."""

    def class_score(self, logits: torch.Tensor, class_idx: int) -> torch.Tensor:
        score = super().class_score(logits, class_idx)
        return score - score.detach()

    def forward_hook(self, name: str) -> Callable[..., None]:
        store = super().forward_hook(name)

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, torch.Tensor) or output.ndim < 3:
                raise ValueError(f"cam_layer {name.partition('.')[2]!r} returns no feature map; choose another layer.")
            store(module, inputs, output)

        return hook


class ActivationMaps(Inferer):
    """Segment a volume, then map which voxels of a layer each structure's score rests on.

    A window that holds none of a structure adds zero to its map. Windows run one by one, in single precision, on a copy
    of the network, since MONAI's hooks stay.

    Args:
        network: network to explain; returns logits.
        label_names: value of every structure by its name, without the background.
        roi_size: window, in voxels.
        overlap: share of a window that its neighbor covers too, see :class:`bundle.inference.SlabInferer`.
        structure: name or value of the only structure to map, or None for all.
        layer: layer to map, as ``network.named_modules()`` calls it, or None for that of :func:`find_layer`.
        method: ``"hirescam"``, ``"gradcam"`` or ``"gradcampp"``.
        progress: show a progress bar on a terminal.

    Raises:
        ValueError: when structure, layer or method is unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        label_names: Mapping[str, int],
        roi_size: Sequence[int],
        overlap: float = 0.25,
        structure: str | int | None = None,
        layer: str | None = None,
        method: str = "hirescam",
        progress: bool = False,
    ) -> None:
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"cam_method must be one of {', '.join(METHODS)}, got {method!r}.")
        self.structures = select_structures(label_names, structure)
        self.layer, self.method = find_layer(network, layer), method
        self.segment = SlabInferer(roi_size, overlap=overlap, output="labels", progress=progress)
        self.blend = SlabInferer(roi_size, overlap=overlap, output="scores", progress=progress)

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Return the label map and behind it a map a structure, ``(B, 1 + structures, ...)``, maps from 0 upwards.

        Args:
            inputs: volumes ``(B, C, ...)``.
            network: the network that the maps were made for.
            args: not used.
            kwargs: not used.

        Raises:
            ValueError: when the layer is not run on the way to the logits, or returns no map.
        """
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        labels = self.segment(image, network).to(image.dtype)
        target = f"network.{self.layer}"
        hooked = _Hooks(MaskedScore(copy.deepcopy(network)), target, register_forward=True, register_backward=True)
        cam = METHODS[self.method](hooked, target, postprocessing=_unchanged)  # type: ignore[arg-type]
        maps = self.blend(torch.cat([image, labels], 1), lambda windows: self._map_windows(windows, cam))
        return convert_to_dst_type(torch.cat([labels, maps], 1), inputs, dtype=torch.float32)[0]

    def _map_windows(self, windows: torch.Tensor, cam: GradCAM) -> torch.Tensor:
        """Map windows whose last channel is the label map."""
        rows = [
            torch.cat([self._map(window[:, :-1], window[:, -1:], value, cam) for value in self.structures.values()], 1)
            for window in windows.split(1)
        ]
        return torch.cat(rows)

    def _map(self, image: torch.Tensor, labels: torch.Tensor, value: int, cam: GradCAM) -> torch.Tensor:
        if not (labels == value).any():
            return torch.zeros_like(labels)
        try:
            with torch.enable_grad():
                return cam(image, class_idx=value, labels=labels).detach()
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"cam_layer {self.layer!r} is not run as a layer on the way to the logits; choose another layer."
            ) from error


def select_structures(label_names: Mapping[str, int], structure: str | int | None) -> dict[str, int]:
    """Return the structures to map: all, or the one of that name or value.

    Raises:
        ValueError: when there is none of that name or value.
    """
    chosen = {name: value for name, value in label_names.items() if structure in (None, name, value, str(value))}
    if not chosen:
        known = ", ".join(f"{name} ({value})" for name, value in label_names.items())
        raise ValueError(f"cam_class {structure!r} is none of the structures {known}.")
    return chosen


def find_layer(network: nn.Module, layer: str | None) -> str:
    """Return the name of the layer to map.

    Args:
        network: network to look into.
        layer: name of the layer; None for the decoder level before the last, or where there are not two, the bottleneck
            or the last encoder. The last level would show the segmentation itself, the deepest a handful of voxels.

    Raises:
        ValueError: when there is no such layer; the message lists what can be chosen.
    """
    modules = dict(network.named_modules())
    lists = {name for name, module in modules.items() if isinstance(module, nn.ModuleList)}
    choices = [name for name in modules if name and name not in lists and name.rpartition(".")[0] in {"", *lists}]
    if layer is not None and layer in modules and layer not in {"", *lists}:
        return layer
    decoders = [name for name in choices if name.startswith("decoders.")]
    deepest = [name for name in choices if name.startswith("encoders.") or name == "bottleneck"]
    if layer is None and (decoders[:-1] or deepest):
        return (decoders[:-1] or deepest)[-1]
    raise ValueError(
        f"cam_layer must be a layer of {type(network).__name__}, got {layer!r}; choose one of {', '.join(choices)}, or "
        "a layer inside of one."
    )


class SaveActivationd(MapTransform):
    """Write the maps of a case on the grid of its input, a picture and a record.

    The files are ``<output_dir>/<case>_cam_<structure>.nii.gz``, float32 from 0 to 1, divided by the largest value of
    the volume; ``<case>_cam.png``; and ``<case>_cam.json``. A structure that is predicted nowhere has a map of zeros,
    and the record says so.

    Args:
        keys: key of what ``maps`` returned ``(1 + structures, D, H, W)``.
        maps: what made the maps.
        transform: preprocessing of the image, inverted on the way back.
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
        maps: ActivationMaps,
        transform: InvertibleTransform,
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        require_matplotlib("cam")
        self.maps, self.output_dir = maps, Path(str(output_dir))
        self.image_key, self.checkpoint = image_key, checkpoint
        self.invert = Invertd("map", transform, orig_keys=image_key, nearest_interp=False)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one case and add its record as ``data["result"]``.

        Raises:
            GridMismatchError: when a map does not lie on the grid of the input file.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            record = case_record(d, self.image_key, self.checkpoint)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            labels, maps = d[key][0].as_tensor().cpu(), d[key][1:].cpu()
            found = {
                name: self._save(d[self.image_key], labels == value, maps[index : index + 1], name, record)
                for index, (name, value) in enumerate(self.maps.structures.items())
            }
            picture = self.output_dir / f"{record['case']}_cam.png"
            title = f"{record['case']}: {TITLES[self.maps.method]} at {self.maps.layer}"
            save_maps(d[self.image_key], labels, maps, picture, self.maps.structures, title=title)
            made = {"method": self.maps.method, "layer": self.maps.layer, "picture": str(picture), "structures": found}
            d["result"] = {**record, **made}
            write_json(self.output_dir / f"{record['case']}_cam.json", d["result"])
        return d

    def _save(
        self, image: MetaTensor, mask: torch.Tensor, heat: torch.Tensor, name: str, record: dict[str, Any]
    ) -> dict[str, Any]:
        """Write one map; say in ``record`` why it is empty, where it is."""
        restored = self.invert({self.image_key: image, "map": heat})["map"]
        values = restored.detach().cpu().numpy()[0].astype(np.float32)
        largest = float(values.max())
        if not largest > 0:
            why = "no voxel of the layer speaks for it" if mask.any() else "it is predicted nowhere in this volume"
            record["remarks"].append(f"the map of {name} is zero: {why}")
            logger.warning("%s: %s", record["input"], record["remarks"][-1])
        target = self.output_dir / f"{record['case']}_cam_{name}.nii.gz"
        scaled = values / largest if largest > 0 else np.zeros_like(values)
        save_label_map(scaled, target, source=record["input"], affine=np.asarray(restored.affine))
        share = float(heat[0][mask].sum() / heat.sum()) if largest > 0 else None
        return {
            "value": self.maps.structures[name],
            "output": str(target),
            "predicted_voxels": int(mask.sum()),
            "peak_voxel": [int(i) for i in np.unravel_index(values.argmax(), values.shape)] if largest > 0 else None,
            "share_inside": None if share is None else round(share, 6),
        }


def save_maps(
    image: MetaTensor,
    labels: torch.Tensor,
    maps: torch.Tensor,
    path: str | Path,
    structures: Mapping[str, int],
    *,
    title: str,
    margin: int = 40,
) -> None:
    """Write a PNG with a row a structure: its map over the image, in three planes through the middle of the structure.

    Args:
        image: volume ``(1, D, H, W)`` in RAS+ order with its affine; shown from its 1st to its 99.5th percentile.
        labels: label map ``(D, H, W)``; the outline of the structure is drawn.
        maps: maps ``(structures, D, H, W)`` from 0 upwards, each shown on a scale from 0 to its largest value.
        path: file to write.
        structures: value of every structure by its name.
        title: title of the picture.
        margin: voxels shown to every side of the middle.
    """
    from matplotlib.figure import Figure

    values, spacing = image.detach().cpu().numpy()[0], np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
    sizes = np.minimum(values.shape, 2 * margin) * spacing
    figure = Figure(figsize=(9, 3.3 * len(structures) + 0.4), layout="constrained", facecolor="white")
    grid = figure.subplots(len(structures), len(AXES), squeeze=False, width_ratios=sizes[[1, 0, 0]])
    for row, (name, value) in enumerate(structures.items()):
        mask, heat = (labels == value).numpy(), maps[row].numpy()
        heat = heat / max(float(heat.max()), np.finfo(np.float32).tiny)
        center = _middle(mask)
        told = name if mask.any() else f"{name} (not predicted)"
        for axis, plane in enumerate(AXES):
            panel = grid[row, axis]
            shown = _draw(panel, values, heat, mask, _planes(center, axis, mask.shape, margin), spacing, value)
            panel.set_title(f"{told}, {plane}", fontsize=10)
    figure.colorbar(shown, ax=grid, shrink=0.6, label="share of the largest value of the map")
    figure.suptitle(f"{title}; line: outline of the structure", fontsize=11)
    figure.savefig(path, dpi=100)


SIDES = ("left to right, mm", "posterior to anterior, mm", "inferior to superior, mm")
"""What the axes of a volume in RAS+ order are called in a picture."""


def _draw(
    panel: Any,
    image: np.ndarray,
    heat: np.ndarray,
    mask: np.ndarray,
    planes: tuple[int | slice, ...],
    spacing: np.ndarray,
    value: int,
) -> Any:
    """Draw one plane; return the drawing of the map, for the color bar."""
    shown_part = {axis: place for axis, place in enumerate(planes) if isinstance(place, slice)}
    across, up = shown_part
    extent = [(edge - 0.5) * spacing[axis] for axis, place in shown_part.items() for edge in (place.start, place.stop)]
    low, high = np.percentile(image, [1, 99.5])
    panel.imshow(image[planes].T, cmap="gray", origin="lower", extent=extent, vmin=low, vmax=high)
    part = heat[planes].T
    shown = panel.imshow(
        part, cmap="inferno", origin="lower", extent=extent, vmin=0, vmax=1, alpha=0.75 * np.sqrt(part.clip(0, 1))
    )
    outline = mask[planes].T
    if outline.any() and not outline.all():
        color = COLORS[(value - 1) % len(COLORS)]
        panel.contour(outline, levels=[0.5], colors=[color], linewidths=1.2, origin="lower", extent=extent)
    panel.set_xlabel(SIDES[across], fontsize=8)
    panel.set_ylabel(SIDES[up], fontsize=8)
    panel.tick_params(labelsize=7)
    return shown


def _middle(mask: np.ndarray) -> list[int]:
    """Return the voxel of a structure that is closest to its center of mass; the middle voxel if it is empty."""
    voxels = np.argwhere(mask) if mask.any() else np.array([[size // 2 for size in mask.shape]])
    return [int(i) for i in voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()]]


def _unchanged(maps: torch.Tensor) -> torch.Tensor:
    return maps
