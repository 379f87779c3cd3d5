"""Random crops of which a share holds labeled structures.

Source: the sampling of nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z), in which a third of
the patches of a batch are drawn around foreground. Differs: by chance instead of by the place in the batch, so that any
batch size works; structures are drawn with equal probability, as there.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandSpatialCropd, SpatialCrop

PLACES = "foreground"
"""Key of the places of the structures in a case."""


class FindForegroundd(MapTransform):
    """Add places of every structure of a label map as ``"foreground"``, for :class:`RandForegroundCropd`.

    Args:
        keys: key of the label map ``(1, D, H, W)``.
        count: greatest number of places per structure, drawn at even steps; enough for a training, small in a cache.
        share: share of the crops that will be drawn around structures; 0 to add nothing.
    """

    def __init__(self, keys: KeysCollection = "label", *, count: int = 1000, share: float = 1.0) -> None:
        super().__init__(keys)
        self.count, self.share = count, share

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the places, an int32 array ``(n, 3)`` per structure in a list."""
        if self.share == 0:
            return dict(data)
        labels = torch.as_tensor(data[self.keys[0]])[0]
        flat = labels.reshape(-1).numpy()
        inside = np.flatnonzero(flat > 0)
        values, places = flat[inside], []
        for value in np.unique(values):
            found = inside[values == value]
            chosen = found[np.linspace(0, len(found) - 1, min(len(found), self.count)).astype(int)]
            places.append(np.stack(np.unravel_index(chosen, labels.shape), axis=1).astype(np.int32))
        return {**data, PLACES: places}


class RandForegroundCropd(RandSpatialCropd):
    """MONAI's ``RandSpatialCropd`` of a fixed size, of which a share is drawn around labeled structures.

    With a share of 0 it draws the same crops as ``RandSpatialCropd``. Otherwise, a crop around a structure has a random
    place of a random structure of the case at a random position in it, as far as the image allows. A case without
    structures gives uniform crops.

    Args:
        keys: keys to crop.
        roi_size: size of the crop.
        share: share of the crops that are drawn around a structure, from 0 to 1.
        random_center: draw the place of uniform crops; else they are taken from the center.
        kwargs: as for ``RandSpatialCropd``.

    Raises:
        ValueError: when the share is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        roi_size: Sequence[int],
        *,
        share: float = 0.0,
        random_center: bool = True,
        **kwargs: Any,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"foreground_share must be from 0 to 1, got {share}.")
        super().__init__(keys, roi_size, random_center=random_center, random_size=False, **kwargs)
        self.share, self.size = share, [int(side) for side in roi_size]

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Crop; the places of the structures are removed."""
        rest = {key: value for key, value in data.items() if key != PLACES}
        places = data.get(PLACES)
        if not places or self.R.uniform() >= self.share:
            return dict(super().__call__(rest, lazy))
        structure = places[self.R.randint(len(places))]
        place = structure[self.R.randint(len(structure))]
        shape = data[self.first_key(rest)].shape[1:]
        starts = [self._start(int(at), side, length) for at, side, length in zip(place, self.size, shape, strict=True)]
        crop = SpatialCrop(
            roi_start=starts, roi_end=[a + min(b, c) for a, b, c in zip(starts, self.size, shape, strict=True)]
        )
        return {**rest, **{key: crop(rest[key]) for key in self.key_iterator(rest)}}

    def _start(self, place: int, side: int, length: int) -> int:
        """Return a random start of a range of the image that holds a place."""
        low, high = max(place - side + 1, 0), min(place, length - side)
        return self.R.randint(low, high + 1) if high > low else max(min(low, length - side), 0)
