"""Class activation maps of a classification of 2D images: where in the image the score of a class comes from.

The methods are those of :mod:`.cam_methods`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import MapTransform
from monai.visualize import GradCAM
from PIL import Image
from torch import nn

from bundle.inference.case_record import RECORD, CaseRecord, record_of_data
from bundle.io.images import read_image
from bundle.tasks.images.save_mask import RestoreImageSized
from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

from .cam_methods import CamMethod, build_cam, check_method, select_structures

logger = logging.getLogger(__name__)

HEAT = (86, 180, 233)
"""Color of a map on an image, unlike skin; its opacity is the map."""

OPACITY = 0.75
"""Opacity where a map is 1."""


class ClassMaps(Inferer):
    """Map which pixels of a complete image the score of each class rests on.

    The image is not cut to crops, so the score that is explained is close to that of
    :class:`bundle.tasks.classification.CropAverageInferer` but not the same. Maps are made in single precision on a
    copy of the network, since MONAI's hooks stay.

    Args:
        network: network to explain; returns logits ``(B, C)``.
        class_names: names of the classes, in the order of the logits.
        structure: name of the only class to map, or its number from 1 on; None for all.
        layer: layer to map, as ``network.named_modules()`` calls it.
        method: ``"gradcam"``, ``"gradcampp"`` or ``"hirescam"``.

    Raises:
        ValueError: when class, layer or method is unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        class_names: Sequence[str],
        structure: str | int | None = None,
        layer: str = "trunk.layer4",
        method: CamMethod = "gradcam",
    ) -> None:
        super().__init__()
        check_method(method)
        layers = [name for name, _ in network.named_modules() if name]
        if layer not in layers:
            short = [name for name in layers if name.count(".") < 2]
            raise ValueError(
                f"cam_layer must be a layer of {type(network).__name__}, got {layer!r}; choose one of "
                f"{', '.join(short)}, or a layer inside of one."
            )
        self.classes = select_structures({name: place for place, name in enumerate(class_names, 1)}, structure)
        self.layer, self.method = layer, method

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        """Return one map per class ``(B, classes, H, W)``, from 0 upwards.

        Args:
            inputs: images ``(B, 3, H, W)``.
            network: the network.
            args: not used.
            kwargs: not used.

        Raises:
            ValueError: when the layer returns no feature map on the way to the logits.
        """
        images = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        cam = build_cam(self.method, copy.deepcopy(network), self.layer)
        rows = [
            torch.cat([self._map(image, place - 1, cam) for place in self.classes.values()], 1)
            for image in images.split(1)
        ]
        return torch.cat(rows)

    def _map(self, image: torch.Tensor, place: int, cam: GradCAM) -> torch.Tensor:
        try:
            with torch.enable_grad():
                return cam(image.requires_grad_(), class_idx=place).detach()
        except (KeyError, IndexError, RuntimeError, ValueError, AttributeError) as error:
            raise ValueError(f"cam_layer {self.layer!r} returns no feature map; choose another layer.") from error


class SaveClassMapsd(MapTransform):
    """Write the maps of an image at the size of its file, and a record.

    The files are ``<case>_cam_<class>.png``, gray, 255 where the map is largest; ``<case>_cam_<class>.jpg``, the
    image with the map on it; and ``<case>_cam.json``. The record notes a map that is zero everywhere.

    Args:
        keys: key of what ``maps`` returned ``(classes, H, W)``.
        maps: inferer that made the maps.
        output_dir: folder to write to; made when missing.
        image_key: key of the image; its metadata name the file.
        checkpoint: weights that were used; the record names them and their sha256.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        maps: ClassMaps,
        output_dir: str | Path,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.maps, self.output_dir = maps, Path(str(output_dir))
        self.image_key, self.checkpoint = image_key, checkpoint
        self.resize = RestoreImageSized(keys, image_key=image_key, allow_missing_keys=allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one image and complete its record, ``data["record"]``."""
        d = self.resize(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            pixels = read_image(record.file).pixels
            values = torch.as_tensor(d[key]).detach().cpu().numpy()
            classes = {
                name: self._save(record, pixels, values[row], name) for row, name in enumerate(self.maps.classes)
            }
            results = {"method": self.maps.method, "layer": self.maps.layer, "maps": classes}
            record.complete(results, checkpoint=self.checkpoint)
            write_json(self.output_dir / f"{record.case}_cam.json", record.to_json())
        return d

    def _save(self, record: CaseRecord, pixels: np.ndarray, values: np.ndarray, name: str) -> dict[str, Any]:
        """Write one map; note in ``record`` where it is zero."""
        values = values.clip(0)
        largest = float(values.max())
        if not largest > 0:
            record.remarks.append(f"the map of {name} is zero: no pixel of the layer supports it")
            logger.warning("%s: %s", record.file, record.remarks[-1])
        heat = values / largest if largest > 0 else values
        target = self.output_dir / f"{record.case}_cam_{name}.png"
        with atomic_write(target) as file:
            Image.fromarray(np.round(heat * 255).astype(np.uint8)).save(file, "PNG")
        overlay = target.with_suffix(".jpg")
        with atomic_write(overlay) as file:
            Image.fromarray(blend_map(pixels, heat)).save(file, "JPEG", quality=90, subsampling=0)
        peak = [int(place) for place in np.unravel_index(values.argmax(), values.shape)] if largest > 0 else None
        return {"output": str(target), "overlay": str(overlay), "peak_pixel": peak}


def blend_map(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image with a map on it.

    Args:
        pixels: image ``(H, W, 3)``, uint8 or uint16.
        heat: map ``(H, W)`` from 0 to 1.

    Returns:
        ``(H, W, 3)``, uint8.
    """
    shown = pixels if pixels.dtype == np.uint8 else (pixels // 257).astype(np.uint8)
    opacity = OPACITY * heat[..., None]
    return np.round(shown * (1 - opacity) + np.array(HEAT) * opacity).astype(np.uint8)
