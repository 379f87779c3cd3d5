"""Loading of the points of discs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from .disc_placement import check_discs_in_image, discs_outside
from .discs.disc_json import extrapolated_discs
from .discs.disc_points import Disc, DiscPoint, to_array
from .discs.disc_reader import read_discs
from .discs.levels import trained_level


class LoadDiscPointsd(MapTransform):
    """Load the discs of a file as ``"points"``, float64 ``(n, 4)``: value and R, A, S in mm, by increasing value.

    The file may have any format of :func:`bundle.tasks.spine.discs.read_discs`. A file without discs is valid. Discs
    next to T13 or L6 have the levels that a network knows (:func:`bundle.tasks.spine.discs.levels.trained_level`):
    L6-S1 is 25, as L5-S1, and L5-L6, which it does not know, is left out.

    Args:
        keys: key of the path, which is kept.
        image_key: key of the image; where it is loaded, some point must lie in it.
        points_key: key of the points.
        point: ``"posterior"`` for the posterior tips, or ``"center"``, where a file has both.
        extrapolated: include discs that a JSON file flags as extrapolated. These may help a training, but must not be
            scored, as their position is uncertain.
        allow_missing_keys: skip cases without a path.

    Raises:
        ValueError: when there are several keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        image_key: str = "image",
        points_key: str = "points",
        point: DiscPoint = "posterior",
        extrapolated: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"the points come from one file per case, got the keys {list(self.keys)}.")
        self.image_key, self.points_key = image_key, points_key
        self.point, self.extrapolated = point, extrapolated

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the points.

        Raises:
            bundle.tasks.spine.discs.DiscFileError: when the file cannot be used.
            bundle.io.GridMismatchError: when all points lie outside of the image.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            image = d.get(self.image_key)
            affine = np.asarray(image.affine) if isinstance(image, MetaTensor) else None
            discs = read_discs(d[key], point=self.point, affine=affine)
            if isinstance(image, MetaTensor):
                _check_place(d[key], discs, image)
            excluded = set() if self.extrapolated else extrapolated_discs(d[key])
            known = [(disc, trained_level(disc.value)) for disc in discs if disc.value not in excluded]
            d[self.points_key] = to_array([replace(disc, value=level) for disc, level in known if level is not None])
        return d


def _check_place(file: str | Path, discs: Sequence[Disc], image: MetaTensor) -> None:
    """Check that some disc lies in the image; others may be out of view."""
    shape, affine = image.shape[1:], np.asarray(image.affine)
    if len(discs_outside(discs, shape, affine)) == len(discs):
        check_discs_in_image(file, discs, image.meta.get("filename_or_obj", ""), shape, affine)
