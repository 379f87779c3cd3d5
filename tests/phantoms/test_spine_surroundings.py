from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms.spine.spine_contrast import draw_contrast
from bundle.phantoms.spine.spine_geometry import SpineGeometry, draw_spine
from bundle.phantoms.spine.spine_surroundings import Body, draw_body, paint_body
from bundle.phantoms.spine.spine_tables import SpineTables, spine_tables

A = np.arange(-150.0, 260.0, 4.0)


@pytest.fixture(scope="module")
def patient() -> tuple[SpineGeometry, SpineTables, Body]:
    rng = np.random.default_rng(5)
    geometry = draw_spine(rng)
    tables = spine_tables(geometry, rng)
    low, high = geometry.curve[geometry.index(650), 1], geometry.curve[geometry.index(-60), 1]
    s = np.arange(low, high, 4.0)
    return geometry, tables, draw_body(rng, geometry, tables, A + geometry.curve[geometry.index(300), 0], s)


def painted(
    patient: tuple[SpineGeometry, SpineTables, Body], v: float, contrast: str = "t1"
) -> tuple[np.ndarray, dict]:
    _, tables, body = patient
    tissue = draw_contrast(np.random.default_rng(0), contrast)[1]
    flat = np.zeros(body.t.shape, np.float32)
    return paint_body(body, tables, tissue, v, (flat, flat)), tissue


@pytest.mark.parametrize("v", [0.0, -10.0, 14.0, 70.0])
def test_there_is_air_outside_the_skin_and_signal_inside(
    patient: tuple[SpineGeometry, SpineTables, Body], v: float
) -> None:
    signal, _ = painted(patient, v)
    body = patient[2]
    inside = np.minimum(body.behind, body.before)
    assert np.isfinite(signal).all()
    assert (signal[inside < -1] == 0).all()
    assert (signal[inside > 3] > 0).mean() > 0.95


def test_the_fat_under_the_skin_is_as_thick_as_drawn(patient: tuple[SpineGeometry, SpineTables, Body]) -> None:
    signal, tissue = painted(patient, 0.0)
    body = patient[2]
    in_fat = (body.behind > 3) & (body.behind < body.fat - 1) & (body.before > 3)
    assert signal[in_fat] == pytest.approx(tissue["fat"], rel=1e-3)


def test_the_skin_is_posterior_to_the_spinous_processes(patient: tuple[SpineGeometry, SpineTables, Body]) -> None:
    _, tables, body = patient
    near = (np.abs(body.u + tables.canal[body.sample] + tables.spinous_length[body.sample]) < 3) & (body.t > 60)
    assert (body.behind[near & (body.t < 480)] > 0).all()


def test_the_aorta_lies_to_the_left_in_front_of_the_bodies(patient: tuple[SpineGeometry, SpineTables, Body]) -> None:
    _, tables, body = patient
    side, depth, bend, _ = body.vessels[0]
    t = body.fork - 60
    there = (np.abs(body.t - t) < 4) & (np.abs(body.u - tables.depth[body.sample] - depth) < 3)
    signal, tissue = painted(patient, side + bend * (t - 400))
    assert side < 5
    assert np.median(signal[there]) == pytest.approx(tissue["vessel"], rel=1e-3)


def test_there_is_a_brain_stem_in_fluid_above_the_dens(patient: tuple[SpineGeometry, SpineTables, Body]) -> None:
    body = patient[2]
    signal, tissue = painted(patient, 0.0, "t2")
    stem = (np.abs(body.t + 45) < 3) & (np.abs(body.u + 9) < 3)
    assert signal[stem] == pytest.approx(tissue["cord"], rel=1e-3)
    far, _ = painted(patient, 63.0, "t2")
    assert not np.allclose(far[stem], tissue["cord"])


def test_a_field_below_the_head_has_none() -> None:
    rng = np.random.default_rng(6)
    geometry = draw_spine(rng)
    tables = spine_tables(geometry, rng)
    s = geometry.curve[geometry.index(400), 1] + np.arange(-40.0, 40.0, 4.0)
    body = draw_body(rng, geometry, tables, geometry.curve[geometry.index(400), 0] + np.arange(-40, 40.0, 4), s)
    tissue = draw_contrast(np.random.default_rng(0), "t2")[1] | {"brain": 1000.0, "cord": 1000.0}
    flat = np.zeros(body.t.shape, np.float32)
    assert paint_body(body, tables, tissue, 0.0, (flat, flat)).max() < 10
