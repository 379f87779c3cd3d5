"""Class activation maps of a segmentation network, see :mod:`.cam_methods`.

Differs from the papers: a volume is mapped window by window, and the maps are blended as the scores of the segmentation
are; only the complete map is scaled to [0, 1].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from monai.visualize import GradCAM
from torch import nn

from bundle.inference.slab import SlabInferer

from .cam_methods import CamMethod, MaskedScore, ScoreHooks, build_cam, check_method, find_layer, select_structures


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
        method: CamMethod = "hirescam",
        progress: bool = False,
    ) -> None:
        super().__init__()
        check_method(method)
        self.structures = select_structures(label_names, structure)
        self.layer, self.method = find_layer(network, layer), method
        self.segment = SlabInferer(roi_size, overlap=overlap, output="labels", progress=progress)
        self.blend = SlabInferer(roi_size, overlap=overlap, output="scores", progress=progress)

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Return the label map and one map per structure, ``(B, 1 + structures, ...)``; maps are 0 or more.

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
        hooked = ScoreHooks(MaskedScore(copy.deepcopy(network)), target, register_forward=True, register_backward=True)
        cam = build_cam(self.method, hooked, target)
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
