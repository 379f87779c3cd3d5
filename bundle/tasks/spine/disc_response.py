"""The discs of a case as the response of a labeling server: a label map and points."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.io.label_maps import source_grid

from .disc_decode import NUMBERING
from .disc_files import split_by_grid
from .discs.disc_json import describe_discs
from .discs.disc_label_map import draw_label_map
from .discs.levels import Numbering, disc_value


class DiscResponsed(MapTransform):
    """Make a label map of the discs, one voxel per disc, and list them as ``data["result"]``.

    MONAI Label sends the label map as the image and the list as the ``params`` of its response: ``"points"``, R, A and
    S in mm by the name of the disc, ``"discs"``, the full entries of the JSON file, and the certainty of the numbering.

    Args:
        keys: key of the discs, a list of :class:`bundle.tasks.spine.discs.Disc`.
        pred_key: key of the label map to add, ``(1, D, H, W)``, uint8, on the grid of the input file.
        image_key: key of the input image, whose metadata name the file.
        numbering: numbering of the values, see :class:`bundle.tasks.spine.SaveDiscsd`.
    """

    def __init__(
        self, keys: KeysCollection, *, pred_key: str = "pred", image_key: str = "image", numbering: Numbering = "sct"
    ) -> None:
        super().__init__(keys)
        self.pred_key, self.image_key, self.numbering = pred_key, image_key, numbering

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the label map and the list."""
        d = dict(data)
        for key in self.key_iterator(d):
            source = str(d[self.image_key].meta["filename_or_obj"])
            shape, affine = source_grid(source)
            discs, _ = split_by_grid(d[key], shape, affine)
            on_map = [disc for disc in discs if disc_value(disc.value, self.numbering) is not None]
            voxels = draw_label_map(on_map, shape, affine, numbering=self.numbering)
            d[self.pred_key] = MetaTensor(torch.as_tensor(voxels)[None], affine=torch.as_tensor(affine))
            points = {disc.name: list(disc.position) for disc in discs}
            certainty = d.get(NUMBERING)
            d["result"] = {"discs": describe_discs(discs, affine=affine)["discs"], "points": points}
            d["result"] |= {} if certainty is None else certainty.describe()
        return d
