"""Discs with their levels from heat maps, as arrays, by a search over skeletons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bundle.utils.lengths import is_above, is_at_most

from .discs.disc_points import Disc, point_of
from .discs.level_certainty import LevelCertainty, number_discs
from .discs.levels import level_order, levels_with, trained_level
from .discs.peak_candidates import Candidates, find_candidates, peak_widths
from .discs.skeleton import SkeletonPrior
from .discs.snap import share_candidates, snap_candidates
from .slab_geometry import pixels_to_world, voxel_size

PEAKS: dict[str, Any] = {"threshold": 0.35, "count": 4, "min_distance": 8.0}
"""Default options of :func:`bundle.tasks.spine.discs.find_candidates`."""

MAX_WIDTH = 4.8
"""Largest standard deviation of the peak of a single disc in pixels; the targets of the training have 3 or 4."""

SINGLE = 0.8
"""Smallest sum of the responses of all levels to a disc to which no single level responds enough; the highest sum in
166 cubes of 30 mm without a disc, from phantoms and exams, was 0.48, and in 36 of noise 0.73."""

SMALL_MM = 64.0
"""Largest height of an image for this sum; noise in larger ones has sums as high as those of discs."""

MIDDLE = 0.2
"""Largest distance of an additional disc to the middle between its neighbors, as a share of their distance."""

SLAB_FRACTION = 0.5
"""Fraction of the highest response to a disc above which a slab counts for its position between left and right."""

MIN_WEIGHT = 1e-6
"""Minimum weight of every slab, so that the mean position is defined without any response."""


class SkeletonDecoder:
    """Find the discs in heat maps, see :class:`bundle.tasks.spine.DecodeDiscsd`, whose options these are.

    Args:
        skeleton: mean relative positions of the discs.
        first_level: number of the disc of the first channel.
        stride: pixels of a slab per cell of the maps.
        peaks: options of the peaks that are candidates; defaults in :data:`PEAKS`.
        snap_mm: largest distance by which a wide candidate is moved.
        search: options of the search.
        vertebrae: expected number of the ``"thoracic"`` and ``"lumbar"`` vertebrae.
    """

    def __init__(
        self,
        skeleton: SkeletonPrior,
        *,
        first_level: int = 2,
        stride: int = 4,
        peaks: Mapping[str, Any] | None = None,
        snap_mm: float = 10.0,
        search: Mapping[str, Any] | None = None,
        vertebrae: Mapping[str, int],
    ) -> None:
        self.skeleton, self.first_level, self.stride, self.snap_mm = skeleton, first_level, stride, snap_mm
        self.peaks, self.search = {**PEAKS, **(peaks or {})}, dict(search or {})
        self.vertebrae = dict(vertebrae)
        skeleton.with_counts(**self.vertebrae)

    def decode(
        self, maps: np.ndarray, affine: np.ndarray, positions: Sequence[float] | np.ndarray
    ) -> tuple[list[Disc], LevelCertainty | None]:
        """Return the discs in maps ``(N, C, a, s)`` of slabs, and the certainty of their numbering.

        Args:
            maps: heat maps, float32.
            affine: affine of the slabs.
            positions: their positions in mm along R.
        """
        size = voxel_size(affine)[1:]
        highest = maps.max(axis=0).clip(0.0, 1.0)

        def response(channel: int, places: np.ndarray) -> np.ndarray:
            return values_at(highest[channel], places / size, stride=self.stride)

        snapped = self._candidates_by_level(maps, size)
        is_small = is_at_most(maps.shape[3] * self.stride * float(size[1]), SMALL_MM)
        if is_small and not any(map(len, snapped)):
            snapped = self._single_disc(maps, highest, size)
        candidates = share_candidates(snapped, response, distance=self.peaks["min_distance"] * float(size.min()))
        levels = range(self.first_level, self.first_level + len(candidates))
        match, certainty = number_discs(
            candidates, levels, self.skeleton, response, expected=self.vertebrae, **self.search
        )
        numbers = levels_with(**(self.vertebrae if certainty is None else certainty.vertebrae))
        number_of = {trained_level(number): number for number in numbers}
        pixels, discs = {}, []
        for channel, chosen in enumerate(match.choice):
            if chosen is not None:
                pixel = pixels[levels[channel]] = candidates[channel].positions[chosen] / size
                position = disc_position(maps[:, channel], pixel, affine, positions, stride=self.stride)
                number = number_of.get(levels[channel], levels[channel])
                discs.append(Disc(number, position, float(candidates[channel].confidence[chosen])))
        for number in numbers:
            upper, lower = math.floor(level_order(number)), math.ceil(level_order(number))
            if upper < lower and {upper, lower} <= pixels.keys():
                found = self._between(maps, pixels[upper], pixels[lower], size)
                if found is not None:
                    position = disc_position(maps.max(axis=1), found[0], affine, positions, stride=self.stride)
                    discs.append(Disc(number, position, found[1]))
        return sorted(discs, key=lambda disc: level_order(disc.value)), certainty

    def _between(
        self, maps: np.ndarray, upper: np.ndarray, lower: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, float] | None:
        """Return pixel and confidence of the additional disc, above T13 or L6, between its neighbors; None without one.

        It is the peak of any level that is nearest to the middle.
        """
        highest = maps.max(axis=(0, 1))[None].clip(0.0, 1.0)
        options = {**self.peaks, "count": 2 * maps.shape[1]}
        (peaks,) = find_candidates(highest, fit="gaussian", stride=self.stride, **options)
        away = np.linalg.norm((peaks.positions - (upper + lower) / 2) * size, axis=1)
        reach = MIDDLE * float(np.linalg.norm((lower - upper) * size))
        if not len(away) or is_above(away.min(), reach):
            return None
        nearest = int(away.argmin())
        return peaks.positions[nearest], min(float(peaks.confidence[nearest]), 1.0)

    def _single_disc(self, maps: np.ndarray, highest: np.ndarray, size: np.ndarray) -> list[Candidates]:
        """Return the candidates of an image in which no level responds enough, in mm along the axes of the slabs.

        In a small field of view, the network may see a disc without its level: many levels respond to it, each weakly.
        The highest peak of their sum is a disc of the level with the highest response.
        """
        total = maps.clip(min=0).sum(axis=1).max(axis=0, keepdims=True)
        options = {**self.peaks, "threshold": SINGLE, "count": 1}
        (peak,) = find_candidates(total, fit="gaussian", stride=self.stride, **options)
        found = [Candidates(np.zeros((0, 2)), np.zeros(0))] * maps.shape[1]
        if len(peak):
            response = values_at(highest, peak.positions, stride=self.stride)[:, 0]
            level = int(response.argmax())
            found[level] = Candidates(peak.positions * size, response[[level]])
        return found

    def _candidates_by_level(self, maps: np.ndarray, size: np.ndarray) -> list[Candidates]:
        """Return the candidates per level, in mm along the axes of the slabs."""
        highest = maps.max(axis=0)
        found = find_candidates(highest, fit="gaussian", stride=self.stride, **self.peaks)
        widths = peak_widths(highest, found, stride=self.stride)
        total = maps.clip(min=0).sum(axis=1).max(axis=0, keepdims=True)
        options = {**self.peaks, "count": 2 * maps.shape[1]}
        (peaks,) = find_candidates(total, fit="gaussian", stride=self.stride, **options)
        in_mm = [Candidates(each.positions * size, each.confidence) for each in (*found, peaks)]
        is_wide = [is_above(width, MAX_WIDTH) for width in widths]
        return snap_candidates(in_mm[:-1], in_mm[-1], reach=self.snap_mm, movable=is_wide)


def values_at(maps: np.ndarray, pixels: np.ndarray, *, stride: int) -> np.ndarray:
    """Return the values ``(..., n)`` of maps ``(..., a, s)`` at the cells of pixels ``(n, 2)``, float64."""
    rows, columns = ((pixels + 0.5) / stride - 0.5).round().astype(int).T
    found = maps[..., rows.clip(0, maps.shape[-2] - 1), columns.clip(0, maps.shape[-1] - 1)]
    return found.astype(np.float64)


def disc_position(
    maps: np.ndarray, pixel: np.ndarray, affine: np.ndarray, positions: Sequence[float] | np.ndarray, *, stride: int
) -> tuple[float, float, float]:
    """Return R, A and S in mm of a disc at a pixel ``(2,)``, by the maps ``(N, a, s)`` of its level."""
    response = values_at(maps, pixel[None], stride=stride)[:, 0]
    weight = (response - SLAB_FRACTION * response.max()).clip(min=MIN_WEIGHT)
    lateral = float(np.average(positions, weights=weight)) / float(np.linalg.norm(affine[:3, 0]))
    return point_of(pixels_to_world(pixel[None], affine, lateral)[0])
