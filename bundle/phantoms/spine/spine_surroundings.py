"""The surroundings of the spine in a sagittal plane: muscle, fat, skin, organs, vessels, head, and air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .spine_geometry import ABOVE, STEP, SpineGeometry
from .spine_tables import SpineTables

BLOBS = {"gas": 4, "bowel": 7, "fluid": 1}
"""Number of round structures of each kind in front of the spine."""


@dataclass(frozen=True)
class Body:
    """The body around a spine, on the pixels (n_a, n_s) of the sagittal plane; lengths in mm.

    Attributes:
        t, u: coordinates.
        sample: samples of the curve of the spine.
        behind, before: distance inside the skin of the back and of the front, negative outside.
        fat: thickness of the posterior fat at each row of ``s``, (1, n_s).
        belly: thickness of the anterior fat.
        shape: contrast between organs.
        blobs: rows of kind, t, u, v, half axes along t and u, and along v.
        vessels: rows of position to the right and in front of the bodies, bend (mm to the right per mm down) and
            radius.
        fork: position on the curve where they end.
    """

    t: np.ndarray
    u: np.ndarray
    sample: np.ndarray
    behind: np.ndarray
    before: np.ndarray
    fat: np.ndarray
    belly: float
    shape: float
    blobs: list[tuple[str, np.ndarray]]
    vessels: np.ndarray
    fork: float


def draw_body(
    rng: np.random.Generator, geometry: SpineGeometry, tables: SpineTables, a: np.ndarray, s: np.ndarray
) -> Body:
    """Draw the body around a spine, for pixels at A = ``a`` (n_a,) and S = ``s`` (n_s,) mm."""
    t, u = geometry.along(*np.meshgrid(a, s, indexing="ij"))
    upward = geometry.curve[::-1]
    places = np.arange(len(upward)) * STEP - ABOVE
    wall = np.interp(s, upward[:, 1], upward[:, 0])
    row_t = np.interp(s, upward[:, 1], places[::-1])
    tops = {level.sizes.name: level.top for level in geometry.levels}
    fat = _draw_fat(rng, tops, row_t)
    fascia = np.interp(row_t, places, tables.back)
    head = np.clip((-5 - row_t) / 40, 0, 1)
    back = _smooth(wall - fascia - fat - 25 * head, s, 14.0)
    front = _smooth(wall + _draw_front(rng, tops, row_t), s, 12.0)
    return Body(
        t=t,
        u=u,
        sample=geometry.index(t),
        behind=(a[:, None] - back[None]).astype(np.float32),
        before=(front[None] - a[:, None]).astype(np.float32),
        fat=fat[None].astype(np.float32),
        belly=float(rng.uniform(4, 35)),
        shape=float(rng.uniform(0.3, 1.0)),
        blobs=_draw_blobs(rng, tops),
        vessels=_draw_vessels(rng),
        fork=tops["L4"] + rng.normal(0, 15),
    )


def _smooth(values: np.ndarray, s: np.ndarray, width: float) -> np.ndarray:
    return gaussian_filter1d(values, width / abs(s[1] - s[0]), mode="nearest")


def _draw_fat(rng: np.random.Generator, tops: dict[str, float], t: np.ndarray) -> np.ndarray:
    amount = rng.uniform(0.3, 1.6)
    knots = [tops[name] for name in ("C4", "T1", "T8", "L1", "S1", "S3", "Co3")]
    thickness = np.array([9, 13, 8, 10, 20, 24, 32]) * rng.uniform(0.7, 1.3, 7) * amount
    return np.interp(t, knots, thickness)


def _draw_front(rng: np.random.Generator, tops: dict[str, float], t: np.ndarray) -> np.ndarray:
    """Return the distance from the wall to the anterior skin."""
    size = rng.uniform(0.8, 1.25)
    belly = rng.uniform(0.75, 1.4)
    knots = [-60.0, -15.0, tops["C3"], tops["C6"], tops["T1"], tops["T5"], tops["L1"], tops["L4"], tops["S2"]]
    reach = np.array([110, 110, 85, 58, 62, 120, 150 * belly, 150 * belly, 135]) * size
    return np.interp(t, knots, reach)


def _draw_blobs(rng: np.random.Generator, tops: dict[str, float]) -> list[tuple[str, np.ndarray]]:
    blobs = []
    for kind, count in BLOBS.items():
        for _ in range(count):
            t = rng.uniform(tops["T12"], tops["S4"])
            size = rng.uniform(5, 22, 3)
            blobs.append((kind, np.array([t, rng.uniform(65, 150), rng.uniform(-50, 50), *size])))
    bladder = np.array([tops["S4"] + rng.uniform(-20, 20), rng.uniform(60, 85), 0.0, *rng.uniform(15, 38, 3)])
    rectum = np.array([tops["S4"], rng.uniform(28, 36), rng.uniform(-8, 8), *rng.uniform(6, 14, 3)])
    heart = np.array([tops["T8"] + rng.uniform(-15, 15), rng.uniform(70, 90), -15.0, *rng.uniform(30, 45, 3)])
    return [*blobs, ("fluid", bladder), ("gas" if rng.uniform() < 0.5 else "bowel", rectum), ("gas", heart)]


def _draw_vessels(rng: np.random.Generator) -> np.ndarray:
    """Draw the aorta on the left and the cava on the right."""
    columns = rng.normal([-10, 14], 6), rng.uniform(9, 16, 2), rng.normal(0, 0.06, 2), rng.uniform(7, 12, 2)
    return np.stack(columns, axis=1)


def paint_body(
    body: Body, tables: SpineTables, tissue: dict[str, float], v: float, textures: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the signal (n_a, n_s) float32 of a plane ``v`` mm to the right of the spine, without the spine.

    Args:
        body: the body.
        tables: tables along the spine.
        tissue: signal of the tissues.
        v: position of the plane.
        textures: two (n_a, n_s) textures of mean 0 and standard deviation 1, of about 5 and 18 mm.
    """
    small, large = textures
    i = body.sample
    organs = tissue["organ"] * (1 + 0.5 * body.shape * np.tanh(1.5 * large) + 0.25 * small)
    fatty = np.clip(0.5 + 1.2 * large - 0.5 * small, 0, 1) * body.shape
    organs += fatty * (0.8 * tissue["fat"] - organs)
    organs = np.maximum(organs, 0)
    _paint_blobs(body, tissue, v, large, organs)
    _paint_vessels(body, tables, tissue, v, organs)
    streaks = np.clip(0.8 * small - 0.45, 0, 1)
    muscle = tissue["muscle"] * (1 + 0.15 * large) + streaks * (tissue["fat"] - tissue["muscle"])
    depth = tables.depth[i]
    signal = np.where(body.u > depth + 1, organs, muscle).astype(np.float32)
    _paint_head(body, tissue, v, small, signal)
    fat = tissue["fat"] * (1 + 0.05 * large - 0.5 * np.clip(small - 1.7, 0, 1))
    _cover(signal, body.fat - body.behind, fat)
    _cover(signal, body.belly * (0.3 + 0.7 * (1 - tables.neck[i])) - body.before, fat)
    _cover(signal, 1.8 - np.minimum(body.behind, body.before), tissue["skin"])
    _cover(signal, -np.minimum(body.behind, body.before), 0.0)
    return signal


def _cover(signal: np.ndarray, distance: np.ndarray, value: np.ndarray | float) -> None:
    part = np.clip(distance + 0.5, 0, 1)
    signal += part * (value - signal)


def _paint_blobs(body: Body, tissue: dict[str, float], v: float, large: np.ndarray, signal: np.ndarray) -> None:
    values = {"gas": 0.01, "bowel": 0.7 * tissue["organ"], "fluid": tissue["fluid"]}
    for kind, (t, u, right, *sizes) in body.blobs:
        rest = 1 - ((v - right) / sizes[2]) ** 2
        if rest > 0:
            inside = rest - ((body.t - t) / sizes[0]) ** 2 - ((body.u - u) / sizes[1]) ** 2 + 0.3 * large
            _cover(signal, inside * min(sizes[:2]) / 2, values[kind])


def _paint_vessels(body: Body, tables: SpineTables, tissue: dict[str, float], v: float, signal: np.ndarray) -> None:
    """Paint fat and the ligament in front of the bodies, the aorta and the cava, and the airway of the neck."""
    i = body.sample
    ahead = body.u - tables.depth[i]
    neck = tables.neck[i]
    fatty = 0.75 * (1 - neck)
    _cover(signal, 5.5 - ahead, tissue["muscle"] + fatty * (tissue["fat"] - tissue["muscle"]))
    airway = 7 - np.hypot(ahead - 15 - 0.06 * body.t, v)
    _cover(signal, np.minimum(airway, 25 * (neck - 0.2)), 0.01)
    for side, depth, bend, radius in body.vessels:
        away = np.hypot(v - side - bend * (body.t - 400), ahead - depth)
        _cover(signal, np.minimum(radius - away, np.minimum(body.fork - body.t, 25 * (0.5 - neck))), tissue["vessel"])
    _cover(signal, 1.2 - np.abs(ahead - 0.5), tissue["ligament"])


def _paint_head(body: Body, tissue: dict[str, float], v: float, small: np.ndarray, signal: np.ndarray) -> None:
    """Paint skull base, brain stem, cerebellum and the bone around them, above the dens."""
    if float(body.t.min()) > 0 or abs(v) > 62:
        return
    t, u = body.t, body.u
    clivus = u - 2 + 0.55 * (t + 4)
    cavity = (1 - np.sqrt(((t + 60) / 56) ** 2 + ((u + 18) / 78) ** 2 + (v / 62) ** 2)) * 56
    cavity = np.minimum(cavity, -clivus)
    diploe = np.minimum(cavity + 9, -4 - t)
    _cover(signal, diploe, tissue["bone"])
    _cover(signal, np.minimum(diploe - 2, 30 - u), 0.6 * tissue["marrow"])
    _cover(signal, cavity + 2.0, tissue["bone"])
    _cover(signal, cavity, tissue["csf"])
    _cover(signal, np.minimum(cavity - 3, -38 - t), tissue["brain"] * (1 + 0.10 * small))
    cerebellum = (1 - np.sqrt(((t + 34) / 23) ** 2 + ((u + 46) / 27) ** 2)) * 23
    _cover(signal, np.minimum(cerebellum, cavity), tissue["brain"] * (1 + 0.12 * np.sin(1.1 * (t + 0.5 * u))))
    stem = (1 - np.sqrt(((t + 45) / 17) ** 2 + ((u + 9) / 13) ** 2 + (v / 17) ** 2)) * 13
    neck = 6.5 - 0.06 * t - np.hypot(u + 14, v)
    _cover(signal, np.minimum(np.maximum(stem, np.where(t < -5, neck, -9.0)), -t - 2), tissue["cord"])
