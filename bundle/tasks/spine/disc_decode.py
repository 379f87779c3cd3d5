"""Discs with their levels from the heat maps of sagittal slabs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.utils.lengths import is_above

from .discs.disc_points import Disc, point_of
from .discs.level_certainty import LevelCertainty, number_discs
from .discs.peak_candidates import Candidates, find_candidates, peak_widths
from .discs.skeleton import SkeletonPrior
from .discs.snap import share_candidates, snap_candidates
from .sagittal_slab import SLAB_POSITIONS
from .slab_geometry import pixels_to_world, voxel_size

NUMBERING = "numbering"
"""Key of the certainty of the numbering of a case."""

PEAKS: dict[str, Any] = {"threshold": 0.35, "count": 4, "min_distance": 8.0}
"""Default options of :func:`bundle.tasks.spine.discs.find_candidates`."""

MAX_WIDTH = 4.8
"""Largest standard deviation of the peak of a single disc in pixels; the targets of the training have 3 or 4."""

SLAB_FRACTION = 0.5
"""Fraction of the highest response to a disc above which a slab counts for its position between left and right."""

MIN_WEIGHT = 1e-6
"""Minimum weight of every slab, so that the mean position is defined without any response."""


class SlabDecoderd(MapTransform):
    """Base of the transforms that find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs.

    Between left and right, the position of a disc is the mean of the slabs weighted by their response to it, so that
    the points of a scoliotic spine need not be in one plane.

    Args:
        keys: key of the heat maps.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab per cell of the maps.
        allow_missing_keys: skip missing keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.first_level, self.image_key, self.stride = first_level, image_key, stride

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the discs, a list of :class:`bundle.tasks.spine.discs.Disc` from head to foot, as ``"discs"``.

        The certainty of their numbering is added as ``"numbering"``, None if unknown.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            maps = torch.as_tensor(d[key]).detach().float().cpu()
            slabs = d[self.image_key]
            affine = np.asarray(slabs.affine, dtype=float)
            d["discs"], d[NUMBERING] = self.decode(maps, affine, slabs.meta[SLAB_POSITIONS])
        return d

    @abstractmethod
    def decode(
        self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs with an affine and positions in mm along R.

        The second value is the certainty of their numbering, None if unknown.
        """

    def values_at(self, maps: torch.Tensor, pixels: np.ndarray) -> np.ndarray:
        """Return the values ``(..., n)`` of maps ``(..., a, s)`` at the cells of pixels ``(n, 2)``."""
        rows, columns = ((pixels + 0.5) / self.stride - 0.5).round().astype(int).T
        found = maps[..., rows.clip(0, maps.shape[-2] - 1), columns.clip(0, maps.shape[-1] - 1)]
        return np.asarray(found.double().numpy())

    def position(
        self, maps: torch.Tensor, pixel: np.ndarray, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[float, float, float]:
        """Return R, A and S in mm of a disc at a pixel ``(2,)``, by the maps ``(N, a, s)`` of its level."""
        response = self.values_at(maps, pixel[None])[:, 0]
        weight = (response - SLAB_FRACTION * response.max()).clip(min=MIN_WEIGHT)
        lateral = float(np.average(positions, weights=weight)) / float(np.linalg.norm(affine[:3, 0]))
        return point_of(pixels_to_world(pixel[None], affine, lateral)[0])


class DecodeDiscsd(SlabDecoderd):
    """Find the discs in the heat maps ``(N, C, a, s)`` of N sagittal slabs by a search over skeletons.

    The highest response over the slabs decides in the sagittal plane: its peaks are the candidates of a level. A peak
    that is too wide for a single disc is moved to the nearest disc of any level
    (:mod:`bundle.tasks.spine.discs.snap`). The exact search over skeletons chooses among
    them (:mod:`bundle.tasks.spine.discs.skeleton_search`), in mm along the axes of the slabs, so that the orientation
    of the slabs in the world has no influence. See :class:`SlabDecoderd` for the positions between left and right.

    Args:
        keys: key of the heat maps.
        skeleton: mean relative positions of the discs.
        first_level: number of the disc of the first channel.
        image_key: key of the slabs ``(N, 1, A, S)``, see :class:`bundle.tasks.spine.SagittalSlabsd`.
        stride: pixels of a slab per cell of the maps.
        peaks: ``threshold``, ``count`` per level and ``min_distance`` of the peaks that are candidates, see
            :func:`bundle.tasks.spine.discs.find_candidates`; defaults in :data:`PEAKS`.
        snap_mm: largest distance by which a wide candidate is moved to the nearest disc of any level; 0 moves none.
        search: options of :func:`bundle.tasks.spine.discs.search_skeleton`.
        thoracic_vertebrae: expected number, 11, 12 or 13.
        lumbar_vertebrae: expected number, 4, 5 or 6.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> from monai.data import MetaTensor
        >>> from bundle.tasks.spine.discs import make_heatmaps
        >>> skeleton = SkeletonPrior((20, 21), np.array([[0.0, 15.0], [0.0, -15.0]]), np.full((2, 2), 5.0), (1, 1))
        >>> maps = make_heatmaps([[30.0, 60.0], [30.0, 30.0]], (16, 24), sigma=4.0, stride=4)
        >>> slabs = MetaTensor(torch.zeros(1, 1, 64, 96), affine=torch.eye(4))
        >>> slabs.meta[SLAB_POSITIONS] = torch.zeros(1)
        >>> decode = DecodeDiscsd("pred", skeleton=skeleton, first_level=20)
        >>> [disc.name for disc in decode({"image": slabs, "pred": maps[None]})["discs"]]
        ['T12-L1', 'L1-L2']
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        skeleton: SkeletonPrior,
        first_level: int = 2,
        image_key: str = "image",
        stride: int = 4,
        peaks: Mapping[str, Any] | None = None,
        snap_mm: float = 10.0,
        search: Mapping[str, Any] | None = None,
        thoracic_vertebrae: int = 12,
        lumbar_vertebrae: int = 5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, first_level=first_level, image_key=image_key, stride=stride, allow_missing_keys=allow_missing_keys
        )
        self.skeleton, self.snap_mm = skeleton, snap_mm
        self.peaks, self.search = {**PEAKS, **(peaks or {})}, dict(search or {})
        self.vertebrae = {"thoracic": thoracic_vertebrae, "lumbar": lumbar_vertebrae}
        skeleton.with_counts(**self.vertebrae)

    def decode(
        self, maps: torch.Tensor, affine: np.ndarray, positions: Sequence[float]
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs, and the certainty of their numbering."""
        size = voxel_size(affine)[1:]
        highest = maps.amax(dim=0).clamp(0.0, 1.0)

        def response(channel: int, places: np.ndarray) -> np.ndarray:
            return self.values_at(highest[channel], places / size)

        snapped = self._candidates_by_level(maps, size)
        candidates = share_candidates(snapped, response, distance=self.peaks["min_distance"] * float(size.min()))
        levels = range(self.first_level, self.first_level + len(candidates))
        match, certainty = number_discs(
            candidates, levels, self.skeleton, response, expected=self.vertebrae, **self.search
        )
        discs = []
        for channel, chosen in enumerate(match.choice):
            if chosen is not None:
                pixel = candidates[channel].positions[chosen] / size
                position = self.position(maps[:, channel], pixel, affine, positions)
                discs.append(Disc(levels[channel], position, float(candidates[channel].confidence[chosen])))
        return discs, certainty

    def _candidates_by_level(self, maps: torch.Tensor, size: np.ndarray) -> list[Candidates]:
        """Return the candidates per level, in mm along the axes of the slabs."""
        highest = maps.amax(dim=0)
        found = find_candidates(highest, fit="gaussian", stride=self.stride, **self.peaks)
        widths = peak_widths(highest, found, stride=self.stride)
        total = maps.clamp(min=0).sum(dim=1).amax(dim=0, keepdim=True)
        options = {**self.peaks, "count": 2 * maps.shape[1]}
        (peaks,) = find_candidates(total, fit="gaussian", stride=self.stride, **options)
        in_mm = [Candidates(each.positions * size, each.confidence) for each in (*found, peaks)]
        is_wide = [is_above(width, MAX_WIDTH) for width in widths]
        return snap_candidates(in_mm[:-1], in_mm[-1], reach=self.snap_mm, movable=is_wide)
