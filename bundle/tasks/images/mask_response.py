"""The mask of a picture as what a labeling server sends."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.io.images import stored

from .save_mask import SaveMaskd


class MaskResponsed(MapTransform):
    """Turn probabilities into the mask that :class:`.SaveMaskd` would write, ``(W, H)``, uint8 grey levels.

    MONAI Label writes two axes as a picture, columns first.

    Args:
        keys: key of the probabilities, as for ``saver``.
        saver: the step that would write the mask; its classes, levels and threshold are used, nothing is written.
        image_key: key of the picture.
    """

    def __init__(self, keys: KeysCollection, *, saver: SaveMaskd, image_key: str = "image") -> None:
        super().__init__(keys)
        self.saver, self.image_key = saver, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the mask, stored as the file of the picture is (EXIF)."""
        d = dict(data)
        for key in self.key_iterator(d):
            found = torch.as_tensor(d[key]).detach().cpu().float().numpy()
            mask = self.saver.levels[self.saver._classes(found)]
            orientation = int(d[self.image_key].meta.get("orientation", 1))
            d[key] = torch.as_tensor(np.ascontiguousarray(stored(mask, orientation).T))
        return d
