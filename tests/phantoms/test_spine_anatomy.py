from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms.spine.spine_anatomy import Appearance, Plane, draw_appearance, paint_spine
from bundle.phantoms.spine.spine_contrast import TISSUES
from bundle.phantoms.spine.spine_geometry import SpineGeometry, draw_spine
from bundle.phantoms.spine.spine_tables import SpineTables, spine_tables

TISSUE = {name: 10.0 * number for number, name in enumerate(TISSUES, start=1)}
APPEARANCE = Appearance(cortex=0.8, grain=0.0, cleft=False, vein=0.0, arch=1.5)
OUTSIDE = -1.0


@pytest.fixture(scope="module")
def spine() -> tuple[SpineGeometry, SpineTables]:
    rng = np.random.default_rng(3)
    geometry = draw_spine(rng, scoliosis=0)
    return geometry, spine_tables(geometry, rng)


def painted(
    spine: tuple[SpineGeometry, SpineTables], t: object, u: object, v: float = 0.0, appearance: Appearance = APPEARANCE
) -> np.ndarray:
    geometry, tables = spine
    t, u = (np.atleast_1d(np.asarray(x, np.float32)) for x in np.broadcast_arrays(t, u))
    blank = np.zeros(t.shape, np.float32)
    plane = Plane(t, u, blank + np.float32(v), geometry.index(t), blank + OUTSIDE, blank, blank, 0.01)
    paint_spine(plane, geometry, tables, TISSUE, appearance)
    return plane.signal


def centers(spine: tuple[SpineGeometry, SpineTables], names: str) -> np.ndarray:
    return np.array([level.center for level in spine[0].levels if level.sizes.name in names.split()])


def test_bodies_hold_marrow_and_discs_hold_nucleus_between_dark_rings(
    spine: tuple[SpineGeometry, SpineTables],
) -> None:
    geometry, tables = spine
    for level in geometry.levels[1:23]:
        here = geometry.index(level.center)
        expected = TISSUE["marrow"] * tables.marrow[here]
        assert painted(spine, level.center, 0.5 * tables.depth[here]) == pytest.approx(expected, rel=1e-3)
    for disc in geometry.discs[:23]:
        depth = tables.depth[geometry.index(disc.t)]
        worn = TISSUE["annulus"] + 0.25 * (TISSUE["nucleus"] - TISSUE["annulus"])
        nucleus = worn + disc.health * (TISSUE["nucleus"] - worn)
        assert painted(spine, disc.t, 0.46 * depth) == pytest.approx(nucleus, rel=1e-3)
        assert painted(spine, disc.t, 0.01 * depth) == pytest.approx(TISSUE["annulus"])


def test_the_tip_is_where_the_disc_ends_and_the_dark_band_of_the_canal_begins(
    spine: tuple[SpineGeometry, SpineTables],
) -> None:
    for disc in spine[0].discs[:23]:
        before = painted(spine, disc.t, -disc.bulge + 0.4)
        behind = painted(spine, disc.t, -disc.bulge - 0.4)
        assert before == pytest.approx(TISSUE["annulus"])
        assert behind == pytest.approx(TISSUE["ligament"])


def test_the_canal_holds_the_cord_in_fluid_down_to_the_conus_and_roots_below(
    spine: tuple[SpineGeometry, SpineTables],
) -> None:
    geometry, tables = spine
    t = np.linspace(geometry.levels[2].center, geometry.conus - 25, 30)
    i = geometry.index(t)
    bulge = painted(spine, t, -1 - tables.ventral[i] - 0.48 * tables.sac[i])
    assert bulge == pytest.approx(TISSUE["cord"])
    lumbar = centers(spine, "L3 L4")
    i = geometry.index(lumbar)
    front = painted(spine, lumbar, -1 - tables.ventral[i] - 0.1 * tables.sac[i])
    assert front == pytest.approx(TISSUE["csf"])
    lines = painted(
        spine, np.full(60, lumbar[0]), -1 - tables.ventral[i[0]] - np.linspace(0.4, 0.9, 60) * tables.sac[i[0]]
    )
    assert np.abs(lines - TISSUE["csf"]).max() > 0.5 * abs(TISSUE["roots"] - TISSUE["csf"])


def test_spinous_processes_are_posterior_to_the_canal_with_gaps_between_them(
    spine: tuple[SpineGeometry, SpineTables],
) -> None:
    geometry, tables = spine
    for name in ("C5", "T6", "L3"):
        level = next(level for level in geometry.levels if level.sizes.name == name)
        t = np.linspace(level.center, level.center + 3 * (level.height + 5), 300)
        u = -tables.canal[geometry.index(t)] - 12
        marrow = np.isclose(painted(spine, t, u), TISSUE["marrow"])
        assert 2 <= np.count_nonzero(np.diff(marrow.astype(int)) == 1) + marrow[0] <= 4, name


def test_lateral_to_the_canal_pedicles_alternate_with_foramina_of_fat(spine: tuple[SpineGeometry, SpineTables]) -> None:
    geometry, tables = spine
    t = np.linspace(*centers(spine, "L1 L4"), 400)
    canal = tables.canal[geometry.index(t)]
    side = painted(spine, t, -0.4 * canal, v=16.0)
    assert np.count_nonzero(np.diff(np.isclose(side, TISSUE["marrow"]).astype(int)) == 1) in (2, 3, 4)
    assert np.isclose(side, 0.9 * TISSUE["fat"] + 0.1 * OUTSIDE, rtol=0.2).sum() > 40


def test_there_are_ribs_and_lung_only_lateral_to_the_thoracic_spine(spine: tuple[SpineGeometry, SpineTables]) -> None:
    geometry, _ = spine
    chest = [disc.t for disc in geometry.discs[8:16]]
    loin = [disc.t for disc in geometry.discs[20:22]]
    assert painted(spine, chest, -9.0, v=26.0) == pytest.approx(TISSUE["marrow"])
    assert painted(spine, centers(spine, "T6 T7"), 5.0, v=26.0) == pytest.approx(
        0.95 * 0.6 * TISSUE["bone"] + 0.05 * OUTSIDE
    )
    assert painted(spine, loin, -9.0, v=40.0) == pytest.approx(OUTSIDE)


def test_the_atlas_has_an_anterior_and_a_posterior_arch(spine: tuple[SpineGeometry, SpineTables]) -> None:
    scale = spine[0].levels[0].scale
    dens = 0.7 * 15.0 * scale
    assert painted(spine, 9 * scale, dens + 1.5 + 3) == pytest.approx(TISSUE["marrow"])
    assert painted(spine, 10 * scale, -26 * scale) == pytest.approx(TISSUE["marrow"])
    assert painted(spine, 9 * scale, dens + 0.5)[0] != pytest.approx(TISSUE["marrow"])


def test_veins_clefts_and_grain_are_painted_by_the_appearance(spine: tuple[SpineGeometry, SpineTables]) -> None:
    geometry, _ = spine
    l3 = float(centers(spine, "L3")[0])
    assert painted(spine, l3, 2.0, appearance=Appearance(0.8, 0.0, False, 1.0, 1.5)) == pytest.approx(TISSUE["vein"])
    disc = geometry.discs[20]
    intact, split = (
        painted(spine, disc.t, 12.0, appearance=Appearance(0.8, 0, cleft, 0, 1.5))[0] for cleft in (False, True)
    )
    assert split == pytest.approx(0.65 * intact, rel=0.02)


def test_nothing_is_painted_far_to_the_side(spine: tuple[SpineGeometry, SpineTables]) -> None:
    assert painted(spine, np.linspace(0, 500, 50), 5.0, v=60.0) == pytest.approx(OUTSIDE)


def test_an_edge_covers_a_voxel_by_the_part_that_it_fills() -> None:
    zero = np.zeros(3, np.float32)
    plane = Plane(zero, zero, zero, zero.astype(int), zero.copy(), zero, zero, 2.0)
    plane.paint(np.array([-1.0, 0.0, 0.5]), 8.0)
    assert plane.signal.tolist() == [0.0, 4.0, 6.0]
    plane.paint(np.array([2.0, -2.0, -2.0]), 8.0, opacity=0.25)
    assert plane.signal.tolist() == [2.0, 4.0, 6.0]


def test_appearances_differ_from_patient_to_patient_and_are_drawn_by_the_generator() -> None:
    appearances = [draw_appearance(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert appearances[0] == appearances[1] != appearances[2]


def test_a_node_of_schmorl_deepens_the_endplate_below_its_disc() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        geometry = draw_spine(rng, scoliosis=0)
        with_node = [disc for disc in geometry.discs if disc.schmorl > 2]
        if with_node:
            break
    spine = geometry, spine_tables(geometry, rng)
    disc = with_node[0]
    depth = spine[1].depth[geometry.index(disc.t)]
    dome = spine[1].dome[geometry.index(disc.t)]
    edge = disc.half_height * (1 + dome) + 0.5 * disc.schmorl
    disc_like, bone_like = (painted(spine, disc.t + sign * edge, 0.45 * depth)[0] for sign in (1, -1))
    assert disc_like != bone_like
    assert min(abs(disc_like - TISSUE[name]) for name in ("annulus", "nucleus")) < 70
