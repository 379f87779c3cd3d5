"""Writing of class activation maps: volumes on the grid of the input, a figure and a record."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Invertd, InvertibleTransform, MapTransform

from bundle.inference.case_record import RECORD, CaseRecord, record_of_data
from bundle.io.label_maps import save_label_map
from bundle.utils.write_json import write_json

from .activation import ActivationMaps
from .activation_figure import save_map_figure
from .cam_methods import TITLES
from .matplotlib_check import require_matplotlib

logger = logging.getLogger(__name__)


class SaveActivationd(MapTransform):
    """Write the maps of a case on the grid of its input, a figure and a record.

    The files are ``<output_dir>/<case>_cam_<structure>.nii.gz``, float32 from 0 to 1, divided by the largest value of
    the volume; ``<case>_cam.png``; and ``<case>_cam.json``. A structure that is predicted nowhere has a map of zeros,
    which the record states.

    Args:
        keys: key of what ``maps`` returned ``(1 + structures, D, H, W)``.
        maps: inferer that made the maps.
        transform: preprocessing of the image, inverted to restore the original grid.
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
        """Write the files of one case and complete its record, ``data["record"]``.

        Raises:
            GridMismatchError: when a map does not lie on the grid of the input file.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            self.output_dir.mkdir(parents=True, exist_ok=True)
            labels, maps = d[key][0].as_tensor().cpu(), d[key][1:].cpu()
            found = {
                name: self._save(d[self.image_key], labels == value, maps[index : index + 1], name, record)
                for index, (name, value) in enumerate(self.maps.structures.items())
            }
            figure = self.output_dir / f"{record.case}_cam.png"
            title = f"{record.case}: {TITLES[self.maps.method]} at {self.maps.layer}"
            save_map_figure(d[self.image_key], labels, maps, figure, self.maps.structures, title=title)
            described = {"method": self.maps.method, "layer": self.maps.layer, "figure": str(figure)}
            record.complete({**described, "structures": found}, checkpoint=self.checkpoint)
            write_json(self.output_dir / f"{record.case}_cam.json", record.to_json())
        return d

    def _save(
        self, image: MetaTensor, mask: torch.Tensor, heat: torch.Tensor, name: str, record: CaseRecord
    ) -> dict[str, Any]:
        """Write one map; note in ``record`` why it is zero, where it is."""
        restored = self.invert({self.image_key: image, "map": heat})["map"]
        values = restored.detach().cpu().numpy()[0].astype(np.float32)
        largest = float(values.max())
        if not largest > 0:
            why = "no voxel of the layer supports it" if mask.any() else "it is predicted nowhere in this volume"
            record.remarks.append(f"the map of {name} is zero: {why}")
            logger.warning("%s: %s", record.file, record.remarks[-1])
        target = self.output_dir / f"{record.case}_cam_{name}.nii.gz"
        scaled = values / largest if largest > 0 else np.zeros_like(values)
        save_label_map(scaled, target, source=record.file, affine=np.asarray(restored.affine))
        share = float(heat[0][mask].sum() / heat.sum()) if largest > 0 else None
        return {
            "value": self.maps.structures[name],
            "output": str(target),
            "predicted_voxels": int(mask.sum()),
            "peak_voxel": [int(i) for i in np.unravel_index(values.argmax(), values.shape)] if largest > 0 else None,
            "share_inside": None if share is None else round(share, 6),
        }
