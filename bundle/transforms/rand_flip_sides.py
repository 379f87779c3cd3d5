"""Mirroring from left to right that exchanges the names of the sides."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform


class RandFlipSidesd(MapTransform, RandomizableTransform):
    """Mirror images and label maps, and exchange the label values of left and right structures.

    MONAI's ``RandFlipd`` would make a left structure look like a right one under its old value.

    Args:
        keys: keys of the maps ``(C, D, H, W)``.
        pairs: label values of structures on the left and right of every key that is a label map, by key:
            ``{"label": [[1, 2]]}``.
        prob: probability of mirroring.
        spatial_axis: axis from left to right; 0 in the orientation RAS.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> flip = RandFlipSidesd(["image", "label"], pairs={"label": [[1, 2]]}, prob=1.0)
        >>> data = flip({"image": torch.tensor([[5, 1, 0]]), "label": torch.tensor([[1, 0, 0]])})
        >>> data["image"].tolist(), data["label"].tolist()
        ([[0, 1, 5]], [[0, 0, 2]])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        pairs: Mapping[str, Sequence[Sequence[int]]],
        prob: float = 0.5,
        spatial_axis: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.pairs, self.spatial_axis = pairs, spatial_axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return mirrored maps, or the maps as they are."""
        d = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = _exchanged(d[key].flip(self.spatial_axis + 1), self.pairs.get(str(key), ()))
        return d


def _exchanged(values: torch.Tensor, pairs: Sequence[Sequence[int]]) -> torch.Tensor:
    result = values.clone()
    for left, right in pairs:
        result[values == left] = right
        result[values == right] = left
    return result
