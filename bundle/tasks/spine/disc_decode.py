"""From the heat maps of sagittal slabs to discs with their levels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .discs.disc_points import Disc
from .discs.peak_candidates import Candidates, find_candidates
from .discs.skeleton import SkeletonPrior
from .discs.skeleton_search import search_skeleton
from .discs.snap import snap_candidates
from .sagittal_slab import SLAB_POSITIONS

SLAB_SHARE = 0.5
"""Share of a disc's highest response from which on a slab counts for its place between left and right."""

LEAST_WEIGHT = 1e-6
"""Weight of every slab at least, so that one that answers nowhere has a middle too."""


class DecodeDiscsd(MapTransform):
    """Find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs; they become ``data["discs"]``.

    The highest response over the slabs decides in the sagittal plane: its peaks are the candidates of a level, moved to
    the nearest disc of any level (:mod:`bundle.tasks.spine.discs.snap`). The exact search over skeletons chooses among
    them (:mod:`bundle.tasks.spine.discs.skeleton_search`), in mm along the axes of the slabs: the same image has the
    same discs, however it lies in the world. Between left and right, a disc lies at
    the mean of the slabs weighted by their response to it, so that the points of a scoliotic spine need not lie in one
    plane.

    Args:
        keys: key of the heat maps.
        skeleton: where the discs of a spine lie to each other.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab a cell of the maps.
        threshold: lowest peak that is a candidate; the maps are trained towards 1.
        count: candidates a level at most.
        snap_mm: how far a candidate is moved to the disc that all levels together tell; 0 moves none.
        search: options of :func:`bundle.tasks.spine.discs.search_skeleton`.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        skeleton: SkeletonPrior,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        threshold: float = 0.35,
        count: int = 4,
        snap_mm: float = 10.0,
        search: Mapping[str, Any] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.skeleton, self.first_level, self.image_key = skeleton, first_level, image_key
        self.stride, self.threshold, self.count, self.snap_mm = stride, threshold, count, snap_mm
        self.search = dict(search or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the discs, a list of :class:`bundle.tasks.spine.discs.Disc` from head to foot."""
        d = dict(data)
        for key in self.key_iterator(d):
            maps = torch.as_tensor(d[key]).detach().float().cpu()
            slabs = d[self.image_key]
            d["discs"] = self._decode(maps, np.asarray(slabs.affine, dtype=float), slabs.meta[SLAB_POSITIONS])
        return d

    def _decode(self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]) -> list[Disc]:
        size = np.linalg.norm(affine[:3, 1:3], axis=0)
        candidates = self._candidates_by_level(maps, size)
        levels = range(self.first_level, self.first_level + len(candidates))
        match = search_skeleton(candidates, levels, self.skeleton, **self.search)
        discs = []
        for channel, chosen in enumerate(match.choice):
            if chosen is not None:
                pixel = candidates[channel].positions[chosen] / size
                lateral = self._lateral(maps[:, channel], pixel, positions) / float(np.linalg.norm(affine[:3, 0]))
                place = to_world(pixel[None], affine, lateral)[0]
                confidence = float(candidates[channel].confidence[chosen])
                discs.append(Disc(levels[channel], tuple(place.tolist()), confidence))
        return discs

    def _candidates_by_level(self, maps: torch.Tensor, size: np.ndarray) -> list[Candidates]:
        """Return the candidates a level, in mm along the axes of the slabs."""
        options: dict[str, Any] = {"threshold": self.threshold, "stride": self.stride}
        found = find_candidates(maps.amax(dim=0), count=self.count, **options)
        together = maps.clamp(min=0).sum(dim=1).amax(dim=0, keepdim=True)
        (places,) = find_candidates(together, count=2 * maps.shape[1], fit="gaussian", **options)
        in_mm = [Candidates(of.positions * size, of.confidence) for of in (*found, places)]
        return snap_candidates(in_mm[:-1], in_mm[-1], reach=self.snap_mm)

    def _lateral(self, maps: torch.Tensor, pixel: np.ndarray, positions: Sequence[float]) -> float:
        """Return the place in mm along R at which the slabs' maps ``(N, a, s)`` respond to a disc."""
        row, column = ((pixel + 0.5) / self.stride - 0.5).round().astype(int)
        response = maps[:, row.clip(0, maps.shape[1] - 1), column.clip(0, maps.shape[2] - 1)].double().numpy()
        weight = (response - SLAB_SHARE * response.max()).clip(min=LEAST_WEIGHT)
        return float(np.average(positions, weights=weight))


def to_world(pixels: np.ndarray, affine: np.ndarray, lateral: float) -> np.ndarray:
    """Return R, A and S in mm ``(k, 3)`` of pixels ``(k, 2)`` at a place along R in voxels of the affine."""
    indices = np.column_stack([np.full(len(pixels), lateral), pixels])
    return indices @ affine[:3, :3].T + affine[:3, 3]
