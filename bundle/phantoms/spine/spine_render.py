"""Rendering of a spine and the body around it, slice by slice."""

from __future__ import annotations

import numpy as np

from .spine_anatomy import LATERAL_EXTENT, Plane, draw_appearance, paint_spine
from .spine_geometry import SpineGeometry
from .spine_grid import SpineGrid
from .spine_surroundings import Body, draw_body, paint_body
from .spine_tables import SpineTables

DETAIL = (-80.0, 50.0)
"""Range anterior to the posterior wall in mm in which the spine is painted."""


def render_spine(
    rng: np.random.Generator, geometry: SpineGeometry, tables: SpineTables, tissue: dict[str, float], grid: SpineGrid
) -> np.ndarray:
    """Return the signal (R, A, S) float32 of a spine in its body; a thick slice is the mean of planes 1.7 mm apart.

    Args:
        rng: random generator of the body, the appearance of the spine and textures.
        geometry: the spine.
        tables: tables along the spine.
        tissue: signal of the tissues, see :mod:`bundle.phantoms.spine.spine_contrast`.
        grid: the voxels.
    """
    rights, a, s = (grid.axis(i) for i in range(3))
    body = draw_body(rng, geometry, tables, a, s)
    appearance = draw_appearance(rng)
    near = np.flatnonzero((body.u > DETAIL[0]) & (body.u < DETAIL[1]))
    count = int(np.ceil(grid.spacing[0] / 1.7))
    middle = float(geometry.lateral[body.sample].mean())
    voxels = np.empty(grid.shape, np.float32)
    for place, right in enumerate(rights):
        textures = [_texture(rng, grid, size) for size in (1.6, 5.0, 18.0)]
        signal = paint_body(body, tables, tissue, right - middle, (textures[1], textures[2]))
        if near.size and abs(right - middle) < LATERAL_EXTENT + 25:
            offsets = ((np.arange(count) + 0.5) / count - 0.5) * grid.spacing[0]
            planes = [_plane(geometry, body, near, right + o, signal, textures, grid) for o in offsets]
            for plane in planes:
                paint_spine(plane, geometry, tables, tissue, appearance)
            signal.flat[near] = sum(plane.signal for plane in planes) / count
        voxels[place] = signal
    return np.maximum(voxels, 0, out=voxels)


def _plane(
    geometry: SpineGeometry,
    body: Body,
    near: np.ndarray,
    right: float,
    signal: np.ndarray,
    textures: list[np.ndarray],
    grid: SpineGrid,
) -> Plane:
    t, u, v = geometry.local(right, body.t.flat[near], body.u.flat[near])
    fine, coarse = textures[0].flat[near], textures[1].flat[near]
    return Plane(t, u, v, geometry.index(t), signal.flat[near], fine, coarse, float(max(grid.spacing[1:])))


def _texture(rng: np.random.Generator, grid: SpineGrid, size: float) -> np.ndarray:
    """Return smooth noise (n_a, n_s) of standard deviation 1 with spots of ``size`` mm."""
    weights = []
    for axis in (1, 2):
        places = np.arange(grid.shape[axis]) * grid.spacing[axis] / size
        knots = np.arange(-1, int(places[-1]) + 3)
        weight = np.maximum(1 - np.abs(places[:, None] - knots[None]) / 1.5, 0).astype(np.float32)
        weights.append(weight / np.sqrt((weight**2).sum(axis=1, keepdims=True)))
    values = rng.standard_normal((weights[0].shape[1], weights[1].shape[1]), dtype=np.float32)
    return weights[0] @ values @ weights[1].T
