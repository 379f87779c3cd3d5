"""The geometry of a random spine: its curve, its levels, and coordinates along it.

The curve runs down the posterior wall of the vertebral bodies. A place is given by ``t`` (mm along the curve, 0 at the
tip of the dens, downward), ``u`` (mm anterior to the wall, in the sagittal plane) and ``v`` (mm to the right of the
middle plane of the level). Disc tips and the canal are near ``u = v = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from .spine_sizes import Vertebra, vertebrae_with

STEP = 0.25
"""Sampling of the curve and of the tables along it, in mm."""
ABOVE = 220.0
"""Length of the curve above the dens, in mm."""
BELOW = 200.0
"""Length of the curve below the coccyx, in mm."""
ATLAS_AXIS = 0.56
"""Position of the level C1-C2 as a fraction of the height of C2: at the base of the dens."""


@dataclass(frozen=True)
class DiscShape:
    """One disc: its value (None for a disc without a number), and sizes in mm.

    Attributes:
        value: number of the level in the convention of the Spinal Cord Toolbox.
        t: position of the middle of the disc on the curve.
        half_height: half the height at the posterior wall.
        bulge: distance of its posterior border behind the wall.
        health: 0 for a dark, degenerated nucleus, 1 for a bright one.
        schmorl: depth of a Schmorl node in the endplate below, 0 for none.
        osteophyte: size of the osteophytes at the anterior margins.
    """

    value: int | None
    t: float
    half_height: float
    bulge: float
    health: float
    schmorl: float
    osteophyte: float


@dataclass(frozen=True)
class Level:
    """One vertebra of a spine: its average sizes, and its actual top, height and scale in mm."""

    sizes: Vertebra
    top: float
    height: float
    scale: float

    @property
    def center(self) -> float:
        """Middle of the body on the curve; for C2 without the dens."""
        return self.top + (0.78 if self.sizes.name == "C2" else 0.5) * self.height


@dataclass(frozen=True)
class SpineGeometry:
    """A spine; arrays are sampled every ``STEP`` mm from ``t = -ABOVE`` on.

    Attributes:
        levels: vertebrae from C2 down to the coccyx.
        discs: the disc below each vertebra except the last.
        curve: (n, 2) mm, A and S of the posterior wall.
        angle: (n,) radian, 0 where the spine runs straight down, positive where it runs backward.
        lateral: (n,) mm, R of the middle plane.
        lean: (n,) its derivative.
        twist: (n,) radian, axial rotation of the level.
        conus: end of the cord on the curve, in mm.
    """

    levels: tuple[Level, ...]
    discs: tuple[DiscShape, ...]
    curve: np.ndarray
    angle: np.ndarray
    lateral: np.ndarray
    lean: np.ndarray
    twist: np.ndarray
    conus: float

    def index(self, t: np.ndarray | float) -> np.ndarray:
        """Return the sample of the curve that is nearest to ``t``."""
        return np.clip(np.rint((np.asarray(t) + ABOVE) / STEP), 0, len(self.angle) - 1).astype(np.intp)

    def place(self, t: float, u: float) -> tuple[float, float, float]:
        """Return R, A, S in mm of a place in the middle plane of its level."""
        x = (t + ABOVE) / STEP
        grid = np.arange(len(self.angle))
        angle, twist, lateral = (np.interp(x, grid, f) for f in (self.angle, self.twist, self.lateral))
        a, s = (np.interp(x, grid, f) for f in self.curve.T)
        forward = u * np.cos(twist)
        return (
            float(lateral - u * np.sin(twist)),
            float(a + forward * np.cos(angle)),
            float(s - forward * np.sin(angle)),
        )

    def tips(self) -> np.ndarray:
        """Return the posterior tips of all numbered levels from C1-C2 on, as rows of value, R, A, S (float64, mm)."""
        axis = self.levels[0]
        rows = [(2.0, *self.place(axis.top + ATLAS_AXIS * axis.height, 0.0))]
        rows += [(float(d.value), *self.place(d.t, -d.bulge)) for d in self.discs if d.value is not None]
        return np.array(rows)

    def along(self, a: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``t`` and ``u`` (before axial rotation) of points in the sagittal plane with A and S in mm."""
        points = np.stack([a, s], axis=-1)
        stride = 4
        _, nearest = cKDTree(self.curve[::stride]).query(points)
        sample = nearest * stride
        angle = self.angle[sample]
        offset = points - self.curve[sample]
        t = sample * STEP - ABOVE - offset[..., 0] * np.sin(angle) - offset[..., 1] * np.cos(angle)
        u = offset[..., 0] * np.cos(angle) - offset[..., 1] * np.sin(angle)
        return t.astype(np.float32), u.astype(np.float32)

    def local(self, r: float, t: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``t``, ``u``, ``v`` with lateral curve, axial rotation and lean, in the sagittal plane R = ``r``."""
        sample = self.index(t)
        twist = self.twist[sample]
        across = (r - self.lateral[sample]).astype(np.float32)
        cos, sin = np.cos(twist, dtype=np.float32), np.sin(twist, dtype=np.float32)
        v = u * sin + across * cos
        return t - self.lean[sample].astype(np.float32) * v, u * cos - across * sin, v


def draw_lumbar_vertebrae(rng: np.random.Generator) -> int:
    """Draw the number of lumbar vertebrae: 5, rarely 4 or 6."""
    return int(rng.choice([5, 4, 6], p=[0.96, 0.02, 0.02]))


def draw_spine(
    rng: np.random.Generator, *, lumbar_vertebrae: int = 5, scoliosis: float | None = None, tilt: float | None = None
) -> SpineGeometry:
    """Draw a spine.

    Args:
        rng: random generator.
        lumbar_vertebrae: 4, 5 or 6.
        scoliosis: largest lateral lean of the spine in degrees (half the Cobb angle); None draws it.
        tilt: rotation of the spine in the sagittal plane in degrees, forward at the top; None draws it.

    Raises:
        ValueError: for another number of lumbar vertebrae.
    """
    vertebrae, values = vertebrae_with(lumbar_vertebrae)
    levels, discs = _draw_levels(rng, vertebrae, values)
    end = levels[-1].top + levels[-1].height
    t = np.arange(-ABOVE, end + BELOW, STEP)
    drawn_tilt = rng.normal(0, 4) if tilt is None else tilt
    angle = _sagittal_angle(rng, levels, t) + np.deg2rad(drawn_tilt)
    angle = np.clip(angle, -1.25, 1.25)
    curve = np.cumsum(np.stack([-np.sin(angle), -np.cos(angle)], axis=1), axis=0) * STEP
    lateral, lean, twist = _coronal_curve(rng, t, abs(rng.normal(0, 2.5)) if scoliosis is None else scoliosis)
    first_lumbar = next(level for level in levels if level.sizes.name == "L1")
    conus = first_lumbar.top + rng.normal(0.6, 0.5) * first_lumbar.height
    return SpineGeometry(levels, discs, curve, angle, lateral, lean, twist, float(conus))


def _draw_levels(
    rng: np.random.Generator, vertebrae: tuple[Vertebra, ...], values: tuple[int | None, ...]
) -> tuple[tuple[Level, ...], tuple[DiscShape, ...]]:
    scale = float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.15))
    wear = rng.uniform(0, 1) ** 1.5
    fullness = rng.uniform(0.75, 1.2)
    levels, discs, top = [], [], 0.0
    for place, sizes in enumerate(vertebrae):
        level_scale = scale * float(np.clip(rng.normal(1, 0.025), 0.93, 1.07))
        height = sizes.height * level_scale
        levels.append(Level(sizes, top, height, level_scale))
        if place < len(values):
            disc = _draw_disc(rng, values[place], sizes.disc_below * scale * fullness, wear)
            discs.append(replace(disc, t=top + height + disc.half_height))
            top += height + 2 * disc.half_height
    return tuple(levels), tuple(discs)


def _draw_disc(rng: np.random.Generator, value: int | None, height: float, wear: float) -> DiscShape:
    """Draw a disc; the lowest two cervical and lumbar ones degenerate first."""
    prone = 0.25 if value in (6, 7, 24, 25) else 0.0
    health = float(np.clip(rng.normal(1 - wear * 0.8 - prone * wear * 2, 0.22), 0, 1))
    chance = rng.uniform(size=3)
    loss = 1 - (rng.uniform(0.2, 0.55) if health < 0.3 and chance[0] < 0.5 else 0) * (value is not None)
    bulge = abs(rng.normal(0.4, 0.5)) + (rng.uniform(0.5, 3.0) if chance[1] < 0.4 * (1 - health) else 0)
    schmorl = rng.uniform(1.5, 5.0) if chance[2] < 0.07 and value is not None and value > 10 else 0.0
    osteophyte = abs(rng.normal(0, 1)) * (0.4 + 2.0 * (1 - health))
    half = height * loss * float(np.clip(rng.normal(1, 0.08), 0.8, 1.2)) / 2
    return DiscShape(value, 0.0, half, float(bulge) if value else 0.0, health, float(schmorl), float(osteophyte))


def _sagittal_angle(rng: np.random.Generator, levels: tuple[Level, ...], t: np.ndarray) -> np.ndarray:
    """Draw the direction of the spine from its lordoses and its kyphosis, in supine position."""
    tops = {level.sizes.name: level.top for level in levels}
    bottoms = {level.sizes.name: level.top + level.height for level in levels}
    last_lumbar = [level.sizes.name for level in levels if level.sizes.name.startswith("L")][-1]
    first_thoracic = rng.uniform(8, 32)
    neck = first_thoracic - rng.uniform(5, 40)
    loin = -rng.uniform(3, 20)
    sacral = rng.uniform(25, 58)
    promontory = rng.uniform(8, 22)
    lordosis = sacral - promontory - loin
    knots = {
        -ABOVE: neck + 5,
        0.0: neck + 2,
        tops["C4"]: neck,
        tops["C6"]: neck + 0.55 * (first_thoracic - neck),
        tops["T1"]: first_thoracic,
        tops["T4"]: first_thoracic + 0.30 * (loin - first_thoracic),
        tops["T8"]: first_thoracic + 0.68 * (loin - first_thoracic),
        tops["T12"]: loin,
        bottoms["L1"]: loin + rng.uniform(0.0, 0.1) * lordosis,
        bottoms["L3"]: loin + rng.uniform(0.3, 0.5) * lordosis,
        bottoms[last_lumbar] - 2: loin + lordosis,
        tops["S1"] + 4: sacral,
        tops["S2"]: sacral - rng.uniform(0, 12),
        tops["S4"]: sacral - rng.uniform(25, 45),
        tops["Co1"]: sacral - rng.uniform(55, 80),
        bottoms["Co3"]: sacral - rng.uniform(85, 110),
    }
    knots[bottoms["Co3"] + BELOW] = 0.0
    places = np.array(list(knots))
    return np.deg2rad(PchipInterpolator(places, np.array(list(knots.values())), extrapolate=True)(t))


def _coronal_curve(
    rng: np.random.Generator, t: np.ndarray, degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lateral position, its slope and the axial rotation of a spine that leans by up to ``degrees``."""
    length = rng.uniform(220, 420)
    phase = rng.uniform(0, 2 * np.pi)
    lean = np.tan(np.deg2rad(degrees)) * np.cos(2 * np.pi * t / length + phase)
    lean = lean + np.tan(np.deg2rad(rng.normal(0, 1.0)))
    twist = -np.deg2rad(degrees * rng.uniform(0.2, 0.8)) * np.sin(2 * np.pi * t / length + phase)
    return np.cumsum(lean) * STEP, lean, twist
