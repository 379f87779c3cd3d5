"""Training targets of disc labeling: heat maps of the levels in view, NaN for unknown levels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, SpatialPad

from .discs.heatmaps import make_heatmaps
from .slab_geometry import is_in_image, voxel_size, world_to_voxels

PAD_FACTOR = 16
"""Images are padded to a multiple of this times the stride, so that a network can halve its maps four times."""


class MakeDiscTargetsd(MapTransform):
    """Make the target of a sagittal slab ``(1, 1, A, S)`` from its points, and drop the axis R of the slab.

    The image becomes ``(1, A, S)``, padded with zeros at the far ends to a multiple of 16 strides; the target becomes
    float32 ``(level_count, A / stride, S / stride)``, one heat map per level. The points are removed from the case.

    - A level in view is a Gaussian, whose peak decreases with the distance of the disc to the slab, as discs next to
      the slab are better visible in another one.
    - A level that is known to be out of view is zero: a point outside the image or NaN in ``points``, and any level
      without a point in a case that is ``complete``.
    - A level that may be in view without a label is NaN, so that the loss ignores it: in a case that is not complete,
      the levels between the labeled ones and ``unknown_margin`` levels beyond them. Beyond an outermost labeled level
      that is out of view, with others in view, levels are out of view as well.

    Args:
        keys: key of the slab.
        first_level: disc number of the first channel.
        level_count: number of channels.
        sigma: standard deviation of the Gaussians in pixels of the image.
        stride: pixels of the image per cell of the target.
        lateral_sigma: standard deviation in mm of the decrease of the peaks with the distance to the slab; None keeps
            all peaks at 1.
        unknown_margin: number of levels beyond the labeled ones that are unknown.
        points_key: key of the points ``(n, 4)``: value, R, A, S in mm.
        label_key: key of the target.

    Raises:
        ValueError: when there are several keys or a number is out of range.

    Examples:
        >>> slab = MetaTensor(torch.zeros(1, 1, 60, 100), affine=torch.eye(4))
        >>> case = {"image": slab, "points": np.array([[20, 0.0, 30.0, 50.0]]), "complete": True}
        >>> case = MakeDiscTargetsd("image", first_level=20, level_count=6)(case)
        >>> case["image"].shape, case["label"].shape, int((case["label"].amax((1, 2)) > 0.9).sum())
        (torch.Size([1, 64, 128]), torch.Size([6, 16, 32]), 1)
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
        label_key: str = "label",
    ) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"a target belongs to one image, got the keys {list(self.keys)}.")
        if level_count < 1 or stride < 1 or not sigma > 0 or (lateral_sigma is not None and not lateral_sigma > 0):
            raise ValueError(
                "level_count and stride must be 1 or more, sigma and lateral_sigma positive, got "
                f"{level_count}, {stride}, {sigma} and {lateral_sigma}."
            )
        self.first_level, self.level_count, self.sigma, self.stride = first_level, level_count, sigma, stride
        self.lateral_sigma, self.unknown_margin = lateral_sigma, unknown_margin
        self.points_key, self.label_key = points_key, label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the target."""
        d = dict(data)
        image: MetaTensor = d[self.keys[0]]
        points = np.asarray(d.pop(self.points_key), dtype=float).reshape(-1, 4)
        indices = world_to_voxels(points[:, 1:], image.affine)
        pixels, distance = indices[:, 1:], np.abs(indices[:, 0]) * voxel_size(image.affine)[0]
        in_view = is_in_image(pixels, image.shape[2:])
        values = points[:, 0].round().astype(int)
        padded = self._pad(image)
        target = self._draw(values[in_view], pixels[in_view], distance[in_view], padded.shape[2:])
        if not d.get("complete", False):
            target[self._unknown(values, in_view)] = torch.nan
        d[self.keys[0]], d[self.label_key] = padded[:, 0], target
        return d

    def _pad(self, image: MetaTensor) -> torch.Tensor:
        step = self.stride * PAD_FACTOR
        size = [1, *(-(-length // step) * step for length in image.shape[2:])]
        return SpatialPad(size, method="end")(image)

    def _draw(self, values: np.ndarray, pixels: np.ndarray, distance: np.ndarray, shape: Sequence[int]) -> torch.Tensor:
        channels = values - self.first_level
        valid = (channels >= 0) & (channels < self.level_count)
        places, peaks = np.full((self.level_count, 2), np.nan), np.ones(self.level_count)
        places[channels[valid]] = pixels[valid]
        if self.lateral_sigma is not None:
            peaks[channels[valid]] = np.exp(-0.5 * (distance[valid] / self.lateral_sigma) ** 2)
        size = [length // self.stride for length in shape]
        return make_heatmaps(places, size, sigma=self.sigma, stride=self.stride, amplitude=peaks)

    def _unknown(self, values: np.ndarray, in_view: np.ndarray) -> np.ndarray:
        """Return the channels whose level may be in view without a label."""
        levels = self.first_level + np.arange(self.level_count)
        if not len(values):
            return np.ones(len(levels), dtype=bool)
        first, last = values.min(), values.max()
        seen = values[in_view]
        above = self.unknown_margin if first in seen or not len(seen) else 0
        below = self.unknown_margin if last in seen or not len(seen) else 0
        return (levels >= first - above) & (levels <= last + below) & ~np.isin(levels, values)
