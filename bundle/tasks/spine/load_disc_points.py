"""Loading of the points of discs."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from .discs.disc_points import DiscPoint, to_array
from .discs.disc_reader import read_discs


class LoadDiscPointsd(MapTransform):
    """Load the discs of a file as ``"points"``, float64 ``(n, 4)``: value and R, A, S in mm, by increasing value.

    The file may have any format of :func:`bundle.tasks.spine.discs.read_discs`. A file without discs is valid.

    Args:
        keys: key of the path, which is kept.
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
        points_key: str = "points",
        point: DiscPoint = "posterior",
        extrapolated: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"the points come from one file per case, got the keys {list(self.keys)}.")
        self.points_key, self.point, self.extrapolated = points_key, point, extrapolated

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Load the points.

        Raises:
            bundle.tasks.spine.discs.DiscFileError: when the file cannot be used.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            discs = read_discs(d[key], point=self.point)
            excluded = set() if self.extrapolated else _extrapolated(Path(d[key]))
            d[self.points_key] = to_array([disc for disc in discs if disc.value not in excluded])
        return d


def _extrapolated(path: Path) -> set[int]:
    """Return the values of the discs that a valid JSON file flags as extrapolated."""
    if path.suffix.lower() != ".json":
        return set()
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    return {int(disc["value"]) for disc in content.get("discs", []) if disc.get("extrapolated")}
