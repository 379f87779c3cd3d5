"""Sagittal slabs: a band of sagittal slices, averaged to one slice for a 2D network.

The volume is a MetaTensor ``(1, R, A, S)`` in RAS+ orientation. R is its first axis, which differs from the R of the
world in an oblique scan; offsets and distances in mm are along that axis.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from bundle.utils.check_choice import check_choice

from .midline import find_midline
from .slab_geometry import voxel_size
from .slab_places import slab_affine, slab_places, slab_weights, slice_weights

SlabCenter = Literal["symmetry", "points"]
"""Center of a slab: the plane of symmetry of the image, or the median of the annotated points."""

SLAB_POSITIONS = "slab_positions_mm"
"""Key in the metadata of several slabs: their positions in mm along R, from the origin of the affine."""


class SagittalSlabd(MapTransform):
    """Average the slices of a band about the mid-sagittal plane: ``(1, R, A, S)`` to ``(1, 1, A, S)``.

    The weight of a slice is its overlap with the band, so that the thickness does not depend on that of the slices. The
    first column of the affine of the slab has the length of the thickness, and its origin is in the middle of the band;
    a band that leaves the volume is cut at its border.

    Args:
        keys: keys of the volumes.
        thickness: thickness of the band in mm.
        center: ``"symmetry"``, the plane of symmetry (:mod:`bundle.tasks.spine.midline`), or ``"points"``, the median
            of the annotated points; without any, the plane of symmetry.
        offset: shift of the band in mm to the right.
        points_key: key of the points ``(n, 4)``: value, R, A, S in mm.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the thickness is not positive or the center is unknown.

    Examples:
        >>> volume = MetaTensor(torch.rand(1, 20, 64, 80), affine=torch.diag(torch.tensor([4.0, 1.0, 1.0, 1.0])))
        >>> slab = SagittalSlabd("image", thickness=6.0)({"image": volume})["image"]
        >>> slab.shape, float(slab.affine[0, 0])
        (torch.Size([1, 1, 64, 80]), 6.0)
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        thickness: float = 6.0,
        center: SlabCenter = "symmetry",
        offset: float = 0.0,
        points_key: str = "points",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not thickness > 0:
            raise ValueError(f"thickness must be a positive number of mm, got {thickness}.")
        check_choice("center", center, get_args(SlabCenter))
        self.thickness, self.center, self.offset, self.points_key = thickness, center, offset, points_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the volumes by slabs."""
        d = dict(data)
        for key in self.key_iterator(d):
            middle = _middle(d[key], d.get(self.points_key) if self.center == "points" else None)
            slab, place = _average(d[key], middle + self.offset / voxel_size(d[key].affine)[0], self.thickness)
            d[key] = _as_slab(slab, d[key], place, self.thickness)
        return d


class RandSagittalSlabd(Randomizable, SagittalSlabd):
    """:class:`SagittalSlabd` with a normally distributed shift of the band.

    Args:
        keys: keys of the volumes.
        sd: standard deviation of the shift in mm.
        thickness: thickness of the band in mm.
        center: ``"points"`` or ``"symmetry"``.
        points_key: key of the points.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when ``sd`` is negative, or as :class:`SagittalSlabd`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        sd: float = 4.0,
        thickness: float = 6.0,
        center: SlabCenter = "points",
        points_key: str = "points",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys,
            thickness=thickness,
            center=center,
            points_key=points_key,
            allow_missing_keys=allow_missing_keys,
        )
        if sd < 0:
            raise ValueError(f"sd must be 0 or more mm, got {sd}.")
        self.sd = sd

    def randomize(self, data: Any = None) -> None:
        """Draw the shift."""
        self.offset = float(self.R.normal(0.0, self.sd))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the volumes by slabs with one random shift."""
        self.randomize()
        return super().__call__(data)


class SagittalSlabsd(MapTransform):
    """Cut several parallel slabs: ``(1, R, A, S)`` to ``(N, 1, A, S)``, N slabs as channels of one slice.

    The slabs are independent images for a 2D network (:class:`bundle.tasks.spine.SlabBatchInferer`). Slabs whose middle
    is outside the volume are skipped, so N may be smaller than the number of offsets; there is always one. The metadata
    holds ``"slab_positions_mm"``, the position of every slab in mm along R from the origin of the affine, which is in
    the plane of symmetry; :func:`slab_affines` returns the affine of every slab.

    Args:
        keys: keys of the volumes.
        thickness: thickness of every slab in mm.
        offsets: positions of the slabs in mm to the right of the plane of symmetry.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the thickness is not positive or there is no offset.

    Examples:
        >>> volume = MetaTensor(torch.rand(1, 20, 64, 80), affine=torch.diag(torch.tensor([4.0, 1.0, 1.0, 1.0])))
        >>> SagittalSlabsd("image", offsets=(-12.0, 0.0, 12.0))({"image": volume})["image"].shape
        torch.Size([3, 1, 64, 80])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        thickness: float = 6.0,
        offsets: Sequence[float] = (-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not thickness > 0 or not len(offsets):
            raise ValueError(
                f"needs a positive thickness and one or more offsets in mm, got {thickness} and {list(offsets)}."
            )
        self.thickness, self.offsets = thickness, list(offsets)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the volumes by their slabs."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self._slabs(d[key])
        return d

    def weights(self, volume: MetaTensor) -> np.ndarray:
        """Return the share of every slice of a volume ``(1, R, A, S)`` in every slab, ``(N, R)``."""
        count, spacing = volume.shape[1], float(voxel_size(volume.affine)[0])
        return slab_weights(count, spacing, self._places(volume)[1], self.thickness)

    def _places(self, volume: MetaTensor) -> tuple[float, list[float]]:
        """Return the middle of a volume and the positions of the slabs within it, in slices."""
        middle, spacing = _middle(volume), float(voxel_size(volume.affine)[0])
        return middle, slab_places(volume.shape[1], spacing, middle, self.offsets)

    def _slabs(self, volume: MetaTensor) -> MetaTensor:
        spacing = float(voxel_size(volume.affine)[0])
        middle, places = self._places(volume)
        cuts = [_average(volume, place, self.thickness) for place in places]
        result = _as_slab(torch.cat([slab for slab, _ in cuts]), volume, middle, self.thickness)
        positions = [(place - middle) * spacing for _, place in cuts]
        result.meta[SLAB_POSITIONS] = torch.tensor(positions, dtype=torch.float64)
        return result


def slab_affines(slabs: MetaTensor) -> np.ndarray:
    """Return the affines ``(N, 4, 4)`` from (0, a, s) in each slab of :class:`SagittalSlabsd` to the world in mm."""
    affine = np.asarray(slabs.affine, dtype=float)
    positions = np.asarray(slabs.meta[SLAB_POSITIONS], dtype=float)
    affines = np.repeat(affine[None], len(positions), axis=0)
    affines[:, :3, 3] += positions[:, None] * affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    return affines


def _middle(volume: MetaTensor, points: np.ndarray | None = None) -> float:
    """Return the position of the mid-sagittal plane in slices."""
    positions = np.empty((0, 3)) if points is None else np.asarray(points, dtype=float)[:, 1:]
    positions = positions[np.isfinite(positions).all(1)]
    if not len(positions):
        return find_midline(volume.as_tensor()[0], voxel_size(volume.affine).tolist())
    to_voxels = np.linalg.inv(np.asarray(volume.affine, dtype=float))
    return float(np.median(positions @ to_voxels[0, :3] + to_voxels[0, 3]))


def _average(volume: MetaTensor, place: float, thickness: float) -> tuple[torch.Tensor, float]:
    """Return the mean ``(1, 1, A, S)`` of a band about ``place``, cut at the border of the volume, and its middle."""
    spacing = float(voxel_size(volume.affine)[0])
    slices, weights, middle = slice_weights(volume.shape[1], spacing, place, thickness)
    values = volume.as_tensor()[:, slices].float()
    scale = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    return torch.einsum("crxy,r->cxy", values, scale)[:, None], middle


def _as_slab(slabs: torch.Tensor, volume: MetaTensor, place: float, thickness: float) -> MetaTensor:
    result = MetaTensor(slabs, meta=volume.meta, applied_operations=volume.applied_operations)
    result.affine = torch.as_tensor(slab_affine(np.asarray(volume.affine, dtype=float), place, thickness))
    return result
