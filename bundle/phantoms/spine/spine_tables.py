"""Tables along the curve of a spine: sizes of body, disc, canal, cord and processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .spine_geometry import ABOVE, STEP, SpineGeometry

DISC_COLUMNS = ("health", "bulge", "schmorl", "osteophyte")
"""Columns with the values of the nearest disc."""
SACROCOCCYGEAL = 8
"""Number of vertebrae below the lumbar ones."""


@dataclass(frozen=True)
class SpineTables:
    """Arrays (n,) float32 on the samples of the curve of a spine; lengths in mm.

    Attributes:
        depth, half_width: of the body.
        waist: reduction of the depth of the body compared with its endplates.
        body_offset: distance below the middle of the nearest vertebra.
        body_height: its height.
        marrow: signal of its marrow, 1 on average.
        disc_offset: distance below the middle of the nearest disc.
        disc_half: half its height at the posterior wall.
        dome: additional thickness in its middle, relative to its half height.
        health, bulge, schmorl, osteophyte: of the nearest disc.
        canal: depth of the bony canal.
        ventral: space between the wall and the dura.
        sac: depth of the dural sac, 0 below its end.
        cord, cord_width: of the spinal cord, 0 below the conus.
        slope: mm that a spinous process goes down per mm backward.
        spinous_offset: distance below the middle of the nearest process at the canal.
        spinous_half: half its height.
        spinous_length: its length backward from the canal.
        back: distance from the wall to the fascia behind the processes, smooth.
        thorax: 1 where ribs are, 0 elsewhere, smooth.
        neck: 1 in the neck, smooth.
    """

    depth: np.ndarray
    half_width: np.ndarray
    waist: np.ndarray
    body_offset: np.ndarray
    body_height: np.ndarray
    marrow: np.ndarray
    disc_offset: np.ndarray
    disc_half: np.ndarray
    dome: np.ndarray
    health: np.ndarray
    bulge: np.ndarray
    schmorl: np.ndarray
    osteophyte: np.ndarray
    canal: np.ndarray
    ventral: np.ndarray
    sac: np.ndarray
    cord: np.ndarray
    cord_width: np.ndarray
    slope: np.ndarray
    spinous_offset: np.ndarray
    spinous_half: np.ndarray
    spinous_length: np.ndarray
    back: np.ndarray
    thorax: np.ndarray
    neck: np.ndarray


def spine_tables(geometry: SpineGeometry, rng: np.random.Generator) -> SpineTables:
    """Tabulate a spine; ``rng`` draws marrow, the size of canal and cord, the end of the dural sac, and processes."""
    t = np.arange(len(geometry.angle)) * STEP - ABOVE
    columns = {**_bodies(geometry, t, rng), **_discs(geometry, t)}
    columns |= {**_canal(geometry, t, rng), **_processes(geometry, t, rng)}
    centers = {level.sizes.name: level.center for level in geometry.levels}
    columns["thorax"] = _plateau(t, centers["T1"], centers["T12"] + 8, 12)
    columns["neck"] = _plateau(t, -ABOVE, centers["T2"], 25)
    return SpineTables(**{name: np.asarray(column, np.float32) for name, column in columns.items()})


def _plateau(t: np.ndarray, start: float, end: float, width: float) -> np.ndarray:
    return np.clip((t - start) / width + 0.5, 0, 1) * np.clip((end - t) / width + 0.5, 0, 1)


def _bodies(geometry: SpineGeometry, t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    levels = geometry.levels
    centers = np.array([level.center for level in levels])
    nearest = np.searchsorted((np.array([d.t for d in geometry.discs])), t)
    height = np.array([level.height for level in levels])
    height[0] *= 0.44
    depth = np.interp(t, centers, [level.sizes.depth * level.scale for level in levels])
    half_width = np.interp(t, centers, [level.sizes.half_width * level.scale for level in levels])
    dens = np.clip((geometry.levels[0].center - 4 - t) / 6, 0, 1)
    end = np.clip((levels[-1].top + levels[-1].height - t) / 4, 0, 1)
    return {
        "depth": depth * (1 - 0.30 * dens) * end,
        "half_width": half_width * (1 - 0.38 * dens),
        "waist": 0.075 * depth * (nearest > 0) * (1 - np.clip((t - levels[-SACROCOCCYGEAL].top) / 10, 0, 1)),
        "body_offset": t - centers[nearest],
        "body_height": height[nearest],
        "marrow": np.clip(rng.normal(1, 0.07, len(levels)), 0.8, 1.3)[nearest],
    }


def _discs(geometry: SpineGeometry, t: np.ndarray) -> dict[str, np.ndarray]:
    discs = geometry.discs
    middles = np.array([d.t for d in discs])
    nearest = np.searchsorted((middles[1:] + middles[:-1]) / 2, t)
    tall = np.array([d.value is not None and d.value > 8 for d in discs])
    rise = np.interp(middles, middles[[6, 16, 19]], [0.25, 0.35, 0.5])
    columns = {name: np.array([getattr(d, name) for d in discs])[nearest] for name in DISC_COLUMNS}
    return {
        "disc_offset": t - middles[nearest],
        "disc_half": np.array([d.half_height for d in discs])[nearest],
        "dome": np.where(tall, rise, 0.25)[nearest],
        **columns,
    }


def _canal(geometry: SpineGeometry, t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    levels = geometry.levels
    place = {level.sizes.name: level for level in levels}
    width = np.clip(rng.normal(1, 0.08), 0.8, 1.2)
    canal = np.interp(
        t, [-25, 0, *(level.center for level in levels)], [34, 24, *(width * level.sizes.canal for level in levels)]
    )
    lumbosacral = geometry.discs[[d.value for d in geometry.discs].index(25)].t
    space = rng.uniform(2.0, 7.0)
    knots = [place["L3"].center, lumbosacral, place["S2"].center, place["S3"].center]
    ventral = np.interp(t, knots, [1.2, 1.2 + 0.6 * space, 1.2 + space, 2.0])
    end = place["S2"].center + rng.normal(0, 0.4) * place["S2"].height
    tail = np.clip((end - t) / 45, 0, 1) ** 0.6
    dorsal = np.interp(
        t,
        [-20, place["C3"].top, place["T4"].top, place["L4"].top],
        np.array([0.2, 1.0, 2.0, 4.2]) * rng.uniform(0.6, 1.4),
    )
    sac = np.clip(canal - ventral - dorsal, 1.5, None) * tail
    cone = np.clip((geometry.conus - t) / 22, 0, 1) ** 0.7
    size = np.clip(rng.normal(1, 0.06), 0.85, 1.15)
    knots = [-30, -8, 12, *(place[name].center for name in ("C3", "C5", "C7", "T3", "T9", "T12"))]
    cord = np.interp(t, knots, [15, 12, 9.2, 8.4, 8.0, 7.4, 6.6, 6.4, 7.4])
    cord_width = np.interp(t, knots, [18, 15, 12, 12.6, 13.6, 12, 9.4, 8.8, 9.8])
    return {
        "canal": canal,
        "ventral": np.minimum(ventral, 0.55 * canal),
        "sac": np.where(tail > 0.05, sac, 0),
        "cord": np.minimum(cord * size * cone, sac * 0.8),
        "cord_width": cord_width * size * cone,
    }


def _processes(geometry: SpineGeometry, t: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    levels = geometry.levels
    centers = np.array([level.center for level in levels])
    jitter = rng.normal(1, 0.07, len(levels))
    lowered = np.array([0.42 if 0 < i < len(levels) - SACROCOCCYGEAL else 0.12 for i in range(len(levels))])
    roots = centers + lowered * [v.height for v in levels]
    nearest = np.searchsorted((roots[1:] + roots[:-1]) / 2, t)
    lengths = np.array([v.sizes.spinous_length * v.scale for v in levels]) * jitter
    halves = np.array([v.sizes.spinous_height * v.scale for v in levels]) / 2 * jitter[::-1]
    slope = np.interp(t, centers, [v.sizes.slope for v in levels])
    reach = np.interp(t, roots + 0.5 * lengths * [v.sizes.slope for v in levels], lengths)
    canal = np.interp(t, centers, [v.sizes.canal for v in levels])
    sides = 30 / STEP
    return {
        "slope": gaussian_filter1d(slope, 10 / STEP),
        "spinous_offset": t - roots[nearest],
        "spinous_half": halves[nearest],
        "spinous_length": lengths[nearest],
        "back": gaussian_filter1d(np.maximum(reach, 8), sides, mode="nearest") + canal + 6,
    }
