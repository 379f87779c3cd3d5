"""The voxels of a spine phantom: field of view, voxel size, pose of the patient, order of the array's axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from .spine_geometry import SpineGeometry

FIELDS = {"cervical": (2, 9), "thoracic": (8, 19), "lumbar": (20, 25), "thoracolumbar": (17, 25), "whole": (2, 25)}
"""Fields of view with the highest and the lowest level that each of them shows."""
FIELD_FREQUENCY = (0.22, 0.07, 0.33, 0.23, 0.15)
"""Frequency of the fields of view."""
ORIENTATIONS = ("RAS", "PIR", "AIL", "IPR", "LIA", "PIL", "LPS", "ASR")
"""Orientations of the arrays, as axis codes."""
SLICES = (2.0, 3.0, 3.3, 3.6, 4.0, 4.0, 4.4, 5.0)
"""Distances of thick slices in mm."""


@dataclass(frozen=True)
class SpineGrid:
    """Voxel grid in the frame of a spine: origin and voxel size in mm, and shape, along R, A, S."""

    origin: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int, int]

    @property
    def affine(self) -> np.ndarray:
        """4x4, from voxels to mm."""
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = self.origin
        return affine

    def axis(self, number: int) -> np.ndarray:
        """Return the positions of the voxels along R (0), A (1) or S (2) in mm."""
        return self.origin[number] + self.spacing[number] * np.arange(self.shape[number])

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Return which points (n, 3) are in the grid."""
        index = (points - self.origin) / self.spacing
        return ((index >= -0.5) & (index <= np.array(self.shape) - 0.5)).all(axis=1)


def draw_grid(
    rng: np.random.Generator,
    geometry: SpineGeometry,
    field_of_view: str | tuple[int, int] | None = None,
    *,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
) -> SpineGrid:
    """Draw a sagittal acquisition of a spine; options that are None are drawn.

    Args:
        rng: random generator.
        geometry: the spine.
        field_of_view: a name of :data:`FIELDS`, or the values of the lowest and the highest level to show.
        shape: voxels along R, A, S; a larger field of view is cut around its middle.
        spacing: voxel size in mm.

    Raises:
        ValueError: for an unknown field of view or one without a level, a shape below (1, 2, 2), or a size that is not
            positive.
    """
    _check(shape, spacing)
    drawn = str(rng.choice(list(FIELDS), p=FIELD_FREQUENCY))
    inside = _tips_between(geometry, drawn if field_of_view is None else field_of_view)
    sacral = inside[-1, 0] == 25
    high, low = inside[0, 3] + rng.uniform(8, 50), inside[-1, 3] - rng.uniform(8, 110 if sacral else 50)
    extent = max(high - low, 150.0)
    size = _draw_spacing(rng, extent) if spacing is None else np.array(spacing, dtype=float)
    reach = np.array([rng.uniform(45, 75), max(extent * rng.uniform(0.6, 1.05), 130), extent])
    count = np.ceil(reach / size).astype(int) if shape is None else np.array(shape)
    room = max(count[1] * size[1] - np.ptp(inside[:, 2]) - 80, 10)
    forward = inside[:, 2].mean() + rng.uniform(-0.1, 0.3) * room
    center = np.array([inside[:, 1].mean() + rng.normal(0, 4), forward, (high + low) / 2])
    return SpineGrid(center - (count - 1) / 2 * size, size, (int(count[0]), int(count[1]), int(count[2])))


def _check(shape: Sequence[int] | None, spacing: Sequence[float] | None) -> None:
    if shape is not None and (len(shape) != 3 or any(n < least for n, least in zip(shape, (1, 2, 2), strict=True))):
        raise ValueError(f"shape must be the voxels along R, A, S, at least (1, 2, 2), got {shape!r}.")
    if spacing is not None and (len(spacing) != 3 or not all(size > 0 for size in spacing)):
        raise ValueError(f"spacing must be three positive sizes in mm along R, A, S, got {spacing!r}.")


def _draw_spacing(rng: np.random.Generator, extent: float) -> np.ndarray:
    """Draw the voxel size; it is larger for a long field of view."""
    plane = rng.uniform(0.6, 1.3) if rng.uniform() < 0.5 else 1.0
    plane = max(plane, extent / 480)
    thick = rng.uniform(0.8, 1.6) if rng.uniform() < 0.2 else float(rng.choice(SLICES))
    return np.array([thick, plane, plane])


def _tips_between(geometry: SpineGeometry, field: str | tuple[int, int]) -> np.ndarray:
    if isinstance(field, str):
        if field not in FIELDS:
            raise ValueError(f"field_of_view must be one of {', '.join(FIELDS)} or two levels, got {field!r}.")
        field = FIELDS[field]
    tips = geometry.tips()
    inside = tips[(tips[:, 0] >= min(field)) & (tips[:, 0] <= max(field))]
    if not len(inside):
        raise ValueError(f"field_of_view {field!r} shows no numbered level of this spine; levels range from 2 to 25.")
    return inside


def draw_pose(rng: np.random.Generator) -> np.ndarray:
    """Draw the pose of the patient in the scanner, as a 4x4 affine: a small rotation about each axis, and a shift."""
    x, y, z = np.deg2rad(rng.normal(0, 3, 3)) * (rng.uniform() < 0.5)
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = about_z @ about_y @ about_x
    pose[:3, 3] = rng.uniform(-60, 60, 3)
    return pose


def reorient(voxels: np.ndarray, affine: np.ndarray, codes: str) -> tuple[np.ndarray, np.ndarray]:
    """Reorder and flip the axes of an array with the axes R, A, S; return it with its new affine.

    Raises:
        ValueError: when ``codes`` are not axis codes such as ``"PIR"``.
    """
    if sorted(codes.translate(str.maketrans("LPI", "RAS"))) != ["A", "R", "S"]:
        raise ValueError(f"orientation must be three axis codes such as 'RAS' or 'PIR', got {codes!r}.")
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    turned = np.ascontiguousarray(apply_orientation(voxels, change))
    return turned, affine @ inv_ornt_aff(change, voxels.shape)
