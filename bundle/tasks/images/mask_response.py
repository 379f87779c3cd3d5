"""The mask of an image as the response of a labeling server."""

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
    """Turn probabilities into the mask that :class:`.SaveMaskd` would write, ``(W, H)``, uint8 gray levels.

    MONAI Label writes arrays of two axes as an image, columns first.

    Args:
        keys: key of the probabilities, as for ``saver``.
        saver: the transform whose classes, levels and threshold are used; it writes nothing here.
        image_key: key of the image.
    """

    def __init__(self, keys: KeysCollection, *, saver: SaveMaskd, image_key: str = "image") -> None:
        super().__init__(keys)
        self.saver, self.image_key = saver, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with the mask in the EXIF orientation of the image file."""
        d = dict(data)
        for key in self.key_iterator(d):
            found = torch.as_tensor(d[key]).detach().cpu().float().numpy()
            mask = self.saver.levels[self.saver.decision.classes(found)]
            orientation = int(d[self.image_key].meta.get("orientation", 1))
            d[key] = torch.as_tensor(np.ascontiguousarray(stored(mask, orientation).T))
        return d
