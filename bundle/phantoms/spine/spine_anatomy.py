"""Painting of a sagittal plane of the spine: bodies, discs, canal, cord and processes.

Each structure is a signed distance (mm, positive inside) in the coordinates ``t, u, v`` of
:mod:`bundle.phantoms.spine.spine_geometry`; it covers previous structures by the fraction of the voxel that it fills.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spine_geometry import STEP, SpineGeometry
from .spine_tables import SpineTables

WALL = 1.0
"""Thickness of the dark band (ligament, dura, cortex) that lines the canal, in mm."""
LATERAL_EXTENT = 45.0
"""Distance from the middle plane in mm beyond which no part of the spine is painted."""


@dataclass
class Plane:
    """The voxels of one sagittal plane near the spine.

    Attributes:
        t, u, v: (n,) float32 coordinates.
        sample: (n,) indices of the tables.
        signal: (n,) float32, painted in place.
        fine, coarse: (n,) float32 textures of mean 0 and standard deviation 1, of trabeculae and of larger structures.
        pixel: voxel size in mm, the width of an edge.
    """

    t: np.ndarray
    u: np.ndarray
    v: np.ndarray
    sample: np.ndarray
    signal: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    pixel: float

    def paint(self, distance: np.ndarray, signal: np.ndarray | float, opacity: float = 1.0) -> None:
        """Paint a structure of a signed distance in mm and a signal."""
        part = np.clip(distance * np.float32(1 / self.pixel) + np.float32(0.5), 0, 1)
        if opacity != 1:
            part *= np.float32(opacity)
        self.signal += part * (signal - self.signal)


@dataclass(frozen=True)
class Appearance:
    """Random appearance of a spine.

    Attributes:
        cortex: thickness of endplates in mm, including chemical shift.
        grain: contrast of the trabecular texture.
        cleft: whether nuclei have a dark cleft.
        vein: visibility of the basivertebral veins.
        arch: distance of C1 to the dens in mm.
    """

    cortex: float
    grain: float
    cleft: bool
    vein: float
    arch: float


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """Draw the appearance of a spine."""
    return Appearance(
        cortex=rng.uniform(0.6, 1.3),
        grain=rng.uniform(0.03, 0.12),
        cleft=bool(rng.uniform() < 0.5),
        vein=rng.uniform(0, 0.9),
        arch=rng.uniform(1.0, 2.5),
    )


def paint_spine(
    plane: Plane, geometry: SpineGeometry, tables: SpineTables, tissue: dict[str, float], appearance: Appearance
) -> None:
    """Paint one plane, from the deepest structures to those that cover them."""
    side = float(np.abs(plane.v).min())
    if side > LATERAL_EXTENT:
        return
    _paint_ribs(plane, tables, tissue)
    _paint_arches(plane, tables, tissue, appearance)
    if side < 12:
        _paint_processes(plane, tables, tissue, appearance)
    _paint_bodies(plane, tables, tissue, appearance)
    _paint_atlas(plane, geometry, tables, tissue, appearance)
    if side < 14:
        _paint_canal(plane, tables, tissue)


def _paint_bodies(plane: Plane, tables: SpineTables, tissue: dict[str, float], appearance: Appearance) -> None:
    i, u, v = plane.sample, plane.u, plane.v
    across = np.minimum((v / tables.half_width[i]) ** 2, 4)
    depth = tables.depth[i] * (1 - 0.55 * across * np.sqrt(across))
    middle = np.clip(1 - (2 * u / np.maximum(depth, 1) - 1) ** 2 - across, 0, 1)
    offset = tables.disc_offset[i]
    half = tables.disc_half[i] * (1 + tables.dome[i] * middle)
    near = tables.schmorl[i]
    if near.any():
        half = half + near * (offset > 0) * np.exp(-(((u - 0.45 * depth) / 4.5) ** 2) - (v / 6) ** 2)
    beyond = np.abs(offset) - half
    margin = np.exp(-np.maximum(beyond, 0) / 2.5) * tables.osteophyte[i]
    level = np.clip(1 - (2 * tables.body_offset[i] / tables.body_height[i]) ** 2, 0, 1)
    front = depth - tables.waist[i] * level + margin - u
    top = plane.t - 0.06 * (u - 5) ** 2 - 0.06 * v**2
    body = np.minimum(np.minimum(front, u - 0.4 * level), np.minimum(beyond, top))
    plane.paint(body + 0.3, tissue["bone"])
    grain = 1 + appearance.grain * plane.fine + 0.6 * appearance.grain * plane.coarse
    plane.paint(body - appearance.cortex, tissue["marrow"] * tables.marrow[i] * grain)
    _paint_vein(plane, tables, tissue, appearance, body)
    _paint_discs(plane, tables, tissue, appearance, np.minimum(front + 0.5, -beyond), offset / half, depth, across)


def _paint_vein(
    plane: Plane, tables: SpineTables, tissue: dict[str, float], appearance: Appearance, body: np.ndarray
) -> None:
    i = plane.sample
    half = 2.2 * (1 - plane.u / np.maximum(0.45 * tables.depth[i], 1)) - 0.25 * np.abs(plane.v)
    inside = np.minimum(half - np.abs(tables.body_offset[i]), body + 0.5)
    plane.paint(np.where(tables.body_height[i] > 15, inside, -9.0), tissue["vein"], appearance.vein)


def _paint_discs(
    plane: Plane,
    tables: SpineTables,
    tissue: dict[str, float],
    appearance: Appearance,
    inside: np.ndarray,
    offset: np.ndarray,
    depth: np.ndarray,
    across: np.ndarray,
) -> None:
    i, u = plane.sample, plane.u
    behind = u + tables.bulge[i] * np.clip(1 - offset**2, 0, 1)
    plane.paint(np.minimum(inside, behind + 0.2), tissue["annulus"])
    health = tables.health[i]
    worn = tissue["annulus"] + 0.25 * (tissue["nucleus"] - tissue["annulus"])
    signal = worn + health * (tissue["nucleus"] - worn)
    if appearance.cleft:
        signal = signal * (1 - 0.35 * np.exp(-((offset / 0.22) ** 2)))
    oval = 1 - ((u / np.maximum(depth, 1) - 0.46) / 0.40) ** 4 - (offset / 0.95) ** 2 - across / 0.7
    plane.paint(oval * tables.disc_half[i], signal * (1 + 0.06 * plane.fine))


def _paint_canal(plane: Plane, tables: SpineTables, tissue: dict[str, float]) -> None:
    i, u, v = plane.sample, plane.u, np.abs(plane.v)
    canal, sac, ventral = tables.canal[i], tables.sac[i], tables.ventral[i]
    offset = np.clip(0.7 * tables.disc_offset[i] / tables.disc_half[i], -1, 1)
    u = u + tables.bulge[i] * (1 - offset**2) * np.clip(1 + u / canal, 0, 1)
    bony = _oval(u + WALL + canal / 2, canal / 2, v, 0.62 * canal + 1.5)
    plane.paint(bony + WALL, tissue["ligament"])
    middle = u + WALL + ventral + sac / 2
    pads = np.exp(-((tables.disc_offset[i] / (0.4 * tables.body_height[i])) ** 2))
    fatty = np.where(middle < 0, 0.15 + 0.85 * pads, np.clip((ventral - 1.2) / 2, 0, 1))
    fatty = np.where(sac > 4, fatty, 1.0)
    plane.paint(bony, tissue["ligament"] + fatty * (tissue["fat"] - tissue["ligament"]))
    dural = np.where(sac > 0.5, _oval(middle, np.maximum(sac / 2, 0.5), v, 0.62 * sac + 1), -9.0)
    plane.paint(dural + 0.6, tissue["ligament"])
    pulsation = 1 - 0.10 * np.clip(plane.coarse, 0, 2)
    plane.paint(dural, tissue["csf"] * pulsation)
    roots = (np.abs(middle + 0.18 * sac) < 0.32 * sac) * (0.5 + 0.5 * np.sin(2.2 * (middle + 0.4 * plane.v)))
    strands = tissue["csf"] + 0.8 * roots * (tissue["roots"] - tissue["csf"])
    below = (tables.cord[i] < 3.5) & (plane.t > 100)
    plane.paint(np.where(below, dural - 1.0, -9.0), strands)
    cord = tables.cord[i]
    nerve = _oval(middle - 0.03 * sac, np.maximum(cord / 2, 0.3), v, np.maximum(tables.cord_width[i] / 2, 0.3))
    plane.paint(np.where(cord > 0.8, nerve, -9.0), tissue["cord"] * (1 + 0.03 * plane.fine))


def _oval(x: np.ndarray, a: np.ndarray | np.float32, y: np.ndarray, b: np.ndarray | np.float32) -> np.ndarray:
    """Return the approximate distance to the border of an ellipse with half axes ``a`` and ``b``, positive inside."""
    return (1 - np.sqrt((x / a) ** 2 + (y / b) ** 2)) * np.minimum(a, b)


def _paint_processes(plane: Plane, tables: SpineTables, tissue: dict[str, float], appearance: Appearance) -> None:
    """Paint spinous processes and the ligaments and fat between them."""
    i, v = plane.sample, np.abs(plane.v)
    behind = -plane.u - WALL - tables.canal[i]
    between = np.minimum(behind + 1, 3.0 - v)
    reach = tables.back[i] - tables.canal[i] - WALL - 5
    streaks = np.clip(0.35 + 0.45 * plane.coarse, 0, 1)
    mixed = tissue["ligament"] + streaks * (tissue["fat"] - tissue["ligament"])
    plane.paint(np.minimum(between, reach - behind), mixed, 0.85)
    plane.paint(np.minimum(2.5 - np.abs(behind - 1.5), 10 - v), tissue["ligament"])
    plane.paint(np.minimum(1.2 - np.abs(behind - reach - 1), 4 - v), tissue["ligament"])
    j = np.clip(i - np.rint(tables.slope[i] * np.maximum(behind, 0) / STEP).astype(np.intp), 0, len(tables.slope) - 1)
    lamina = np.clip((4.5 - v) * 0.5, 0, 1)
    length = 5 + np.maximum(tables.spinous_length[j] - 5, 0) * lamina
    tip = np.clip(behind / np.maximum(length, 1), 0, 1)
    half = tables.spinous_half[j] * (0.7 + 0.4 * tip) * np.sqrt(1 - tip**6)
    bone = np.minimum(np.minimum(behind, length - behind), half - np.abs(tables.spinous_offset[j]))
    bone = np.minimum(bone, np.where(behind < 6, 11 - v, 4 + 0.06 * behind - v))
    bone = np.where(tables.spinous_length[j] > 1, bone, -9.0)
    plane.paint(bone + 0.3, tissue["bone"])
    plane.paint(bone - 0.9, tissue["marrow"] * (1 + appearance.grain * plane.coarse))


def _paint_arches(plane: Plane, tables: SpineTables, tissue: dict[str, float], appearance: Appearance) -> None:
    """Paint the structures lateral to the canal: pedicles, facets with joints, and foramina with fat and a root."""
    i, u, v = plane.sample, plane.u, np.abs(plane.v)
    canal = tables.canal[i]
    beside = np.minimum(v - 0.55 * canal, 1.05 * canal + 3 - v)
    foramen = np.minimum(np.minimum(beside + 2, -u - 0.5), u + 0.75 * canal)
    plane.paint(foramen, tissue["fat"], 0.9)
    offset = tables.disc_offset[i] + 3
    plane.paint(2.2 - np.hypot(offset, u + 0.3 * canal) + np.minimum(beside, 0), tissue["roots"] * 0.7)
    facets = np.minimum(np.minimum(beside, -u - 0.6 * canal), u + 1.1 * canal + 7)
    plane.paint(facets + 0.3, tissue["bone"])
    joint = np.abs(tables.disc_offset[i] - 0.5 * (u + canal)) - 1.0
    plane.paint(np.minimum(facets - 0.9, joint), tissue["marrow"])
    height = tables.body_height[i]
    pedicle = 0.27 * height - np.abs(tables.body_offset[i] + 0.16 * height)
    pedicle = np.minimum(np.minimum(pedicle, beside), np.minimum(3 - u, u + canal))
    plane.paint(pedicle + 0.3, tissue["bone"])
    plane.paint(pedicle - 0.9, tissue["marrow"] * (1 + appearance.grain * plane.fine))


def _paint_ribs(plane: Plane, tables: SpineTables, tissue: dict[str, float]) -> None:
    i, v = plane.sample, np.abs(plane.v)
    outward = np.maximum(v - 16, 0)
    lung = np.minimum(outward - 2 - 0.35 * np.maximum(-plane.u - 5, 0), plane.u + 28)
    plane.paint(np.minimum(lung, 15 * (tables.thorax[i] - 0.5)), tissue["bone"] * 0.6, 0.95)
    rib = 5.5 - np.hypot(tables.disc_offset[i] - 2 - 0.2 * outward, 0.8 * (plane.u + 3 + 0.6 * outward))
    rib = np.where((tables.thorax[i] > 0.5) & (v > 13), rib, -9.0)
    plane.paint(rib + 0.3, tissue["bone"])
    plane.paint(rib - 1.0, tissue["marrow"])


def _paint_atlas(
    plane: Plane, geometry: SpineGeometry, tables: SpineTables, tissue: dict[str, float], appearance: Appearance
) -> None:
    """Paint the arches and the masses of C1 around the dens."""
    if float(plane.t.min()) > 30:
        return
    scale = geometry.levels[0].scale
    dens = 0.7 * geometry.levels[0].sizes.depth * scale
    u, v = plane.u, np.abs(plane.v)
    front = _oval(plane.t - 9 * scale, np.float32(5.5), u - dens - appearance.arch - 3 + 0.03 * v**2, np.float32(3.2))
    rear = _oval(plane.t - 10 * scale, np.float32(4.5), u + 26 * scale - 0.04 * v**2, np.float32(4.0))
    mass = np.minimum(np.minimum(7 - np.abs(plane.t - 10 * scale), v - 8), np.minimum(22 - v, 11 - np.abs(u - 3)))
    bone = np.maximum(np.maximum(np.where(v < 14, front, -9.0), np.where(v < 18, rear, -9.0)), mass)
    plane.paint(bone + 0.3, tissue["bone"])
    plane.paint(bone - 1.0, tissue["marrow"])
