"""Fields of view that end within the object."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable


class RandCutFieldOfViewd(MapTransform, Randomizable):
    """Set the outer part of volumes to 0 on random sides, as if the field of view ended there.

    Args:
        keys: keys of the maps ``(C, D, H, W)`` of one size, which are cut alike.
        prob: probability of a cut, of every side separately.
        max_share: largest share of an axis that is cut on one side, from 0 to 0.5.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when ``max_share`` is out of range.

    Examples:
        >>> cut = RandCutFieldOfViewd("image", prob=1.0, max_share=0.4).set_random_state(seed=0)
        >>> bool(cut({"image": torch.ones(1, 10, 10, 10)})["image"].mean() < 1)
        True
    """

    def __init__(
        self, keys: KeysCollection, *, prob: float = 0.2, max_share: float = 0.3, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 0 <= max_share <= 0.5:
            raise ValueError(f"max_share must lie in [0, 0.5], got {max_share}.")
        self.prob, self.max_share = prob, max_share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return maps with blank sides."""
        d = dict(data)
        place: tuple[slice, ...] = ()
        for key in self.key_iterator(d):
            place = place or tuple(self._inside(size) for size in d[key].shape[1:])
            kept = torch.zeros_like(d[key])
            kept[(slice(None), *place)] = d[key][(slice(None), *place)]
            d[key] = kept
        return d

    def _inside(self, size: int) -> slice:
        cuts = [self.R.uniform(0, self.max_share) if self.R.random() < self.prob else 0 for _ in range(2)]
        return slice(int(size * cuts[0]), size - int(size * cuts[1]))
