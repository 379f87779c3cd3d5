"""Targets of disc labelling: heat maps of the levels in view, and which levels are not known."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, SpatialPad

from .discs.heatmaps import make_heatmaps

PAD_FACTOR = 16
"""Images are padded to a multiple of the stride times this, so that a network can halve its maps four times."""


class MakeDiscTargetsd(MapTransform):
    """Make the target of a sagittal slab ``(1, 1, A, S)`` from its points, and drop the axis R of the slab.

    The image becomes ``(1, A, S)``, padded with zeros at the far ends to a multiple of 16 strides; the target becomes
    float32 ``(level_count, A / stride, S / stride)``, one heat map a level. The points are taken out of the case.

    - A level in view is a Gaussian, whose peak falls with the distance of the disc to the slab: a disc beside the slab
      is better seen in another one.
    - A level that is known to be out of view is zero: a point outside the image or, in ``points``, NaN; and one without
      a point in a case that is ``complete``.
    - A level that may be in view without a label is NaN, for the loss to pass over: in a case that is not complete,
      those between the labelled levels and ``unknown_margin`` levels beyond them. Beyond a last labelled level that is
      itself out of view, with others in view, they are out of view as well.

    Args:
        keys: key of the slab.
        first_level: disc number of the first channel.
        level_count: number of channels.
        sigma: standard deviation of the Gaussians in pixels of the image.
        stride: pixels of the image along a side of a cell of the target.
        lateral_sigma: distance in mm to the slab at which the peak has fallen to 0.61; None keeps all peaks at 1.
        unknown_margin: levels beyond the labelled ones that count as unknown.
        points_key: key of the points ``(n, 4)``: value, R, A, S in mm.
        complete_key: key that is true for a case whose points are all discs in view; false when missing.
        label_key: key of the target.

    Raises:
        ValueError: when ``keys`` are several or a number is out of range.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        first_level: int = 2,
        level_count: int = 24,
        sigma: float = 4.0,
        stride: int = 4,
        lateral_sigma: float | None = 8.0,
        unknown_margin: int = 3,
        points_key: str = "points",
        complete_key: str = "complete",
        label_key: str = "label",
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"a target belongs to one image; got the keys {list(self.keys)}.")
        if level_count < 1 or stride < 1 or not sigma > 0 or (lateral_sigma is not None and not lateral_sigma > 0):
            raise ValueError(
                "level_count and stride must be 1 or more, sigma and lateral_sigma positive, got "
                f"{level_count}, {stride}, {sigma} and {lateral_sigma}."
            )
        self.first_level, self.level_count, self.sigma, self.stride = first_level, level_count, sigma, stride
        self.lateral_sigma, self.unknown_margin = lateral_sigma, unknown_margin
        self.points_key, self.complete_key, self.label_key = points_key, complete_key, label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the target."""
        d = dict(data)
        image: MetaTensor = d[self.keys[0]]
        points = np.asarray(d.pop(self.points_key), dtype=float).reshape(-1, 4)
        pixels, distance = _project(points, image)
        in_view = _is_inside(pixels, image.shape[2:])
        values = points[:, 0].round().astype(int)
        padded = self._pad(image)
        target = self._draw(values[in_view], pixels[in_view], distance[in_view], padded.shape[2:])
        if not d.get(self.complete_key, False):
            target[self._unknown(values, in_view)] = torch.nan
        d[self.keys[0]], d[self.label_key] = padded[:, 0], target
        return d

    def _pad(self, image: MetaTensor) -> torch.Tensor:
        step = self.stride * PAD_FACTOR
        size = [1, *(-(-length // step) * step for length in image.shape[2:])]
        return SpatialPad(size, method="end")(image)

    def _draw(self, values: np.ndarray, pixels: np.ndarray, distance: np.ndarray, shape: Sequence[int]) -> torch.Tensor:
        channels = values - self.first_level
        known = (channels >= 0) & (channels < self.level_count)
        places, peaks = np.full((self.level_count, 2), np.nan), np.ones(self.level_count)
        places[channels[known]] = pixels[known]
        if self.lateral_sigma is not None:
            peaks[channels[known]] = np.exp(-0.5 * (distance[known] / self.lateral_sigma) ** 2)
        size = [length // self.stride for length in shape]
        return make_heatmaps(places, size, sigma=self.sigma, stride=self.stride, amplitude=peaks)

    def _unknown(self, values: np.ndarray, in_view: np.ndarray) -> np.ndarray:
        """Return which channels may show a disc that has no label."""
        levels = self.first_level + np.arange(self.level_count)
        if not len(values):
            return np.ones(len(levels), dtype=bool)
        first, last = values.min(), values.max()
        seen = values[in_view]
        above = self.unknown_margin if first in seen or not len(seen) else 0
        below = self.unknown_margin if last in seen or not len(seen) else 0
        return (levels >= first - above) & (levels <= last + below) & ~np.isin(levels, values)


def _project(points: np.ndarray, image: MetaTensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels ``(n, 2)`` of points in a slab and their distances to it in mm."""
    affine = np.asarray(image.affine, dtype=float)
    indices = (points[:, 1:] - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    return indices[:, 1:], np.abs(indices[:, 0]) * np.linalg.norm(affine[:3, 0])


def _is_inside(pixels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Tell which pixels ``(n, 2)`` lie in an image; those of NaN do not."""
    return np.all((pixels >= -0.5) & (pixels <= np.array(shape) - 0.5), axis=1)
