"""Structures of label maps with a margin."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type
from torch.nn import functional


class DilateLabelsd(MapTransform):
    """Dilate structures of label maps, so that a network learns to find the region around a small structure.

    The margin is a box. It takes voxels of the background and of all structures that are not dilated; between two
    dilated structures the first of ``labels`` has them.

    Args:
        keys: keys of the label maps ``(1, D, H, W)``.
        labels: label values of the structures.
        margin: margin in mm, rounded to voxels.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the margin is negative.

    Examples:
        >>> from monai.data import MetaTensor
        >>> label = MetaTensor(torch.tensor([[[[0, 0, 1, 3, 3]]]]))
        >>> DilateLabelsd("label", labels=[1], margin=1.0)({"label": label})["label"].flatten().tolist()
        [0, 1, 1, 1, 3]
    """

    def __init__(
        self, keys: KeysCollection, *, labels: Sequence[int], margin: float, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if margin < 0:
            raise ValueError(f"margin must be 0 mm or more, got {margin}.")
        self.labels, self.margin = list(labels), margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with dilated structures."""
        d = dict(data)
        for key in self.key_iterator(d):
            spacing = np.linalg.norm(np.asarray(d[key].affine)[:3, :3], axis=0)
            margins = [round(self.margin / float(step)) for step in spacing]
            d[key] = convert_to_dst_type(self._dilated(d[key].as_tensor(), margins), d[key])[0]
        return d

    def _dilated(self, values: torch.Tensor, margins: list[int]) -> torch.Tensor:
        result, size = values.clone(), [2 * margin + 1 for margin in margins]
        for label in reversed(self.labels):
            mask = (values == label).float()
            result[functional.max_pool3d(mask, size, stride=1, padding=margins) > 0] = label
        for label in self.labels:
            result[values == label] = label
        return result
