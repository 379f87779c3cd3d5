from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from bundle.phantoms.spine.spine_geometry import SpineGeometry, draw_spine
from bundle.phantoms.spine.spine_tables import SpineTables, spine_tables


def spine(seed: int = 0, lumbar: int = 5) -> tuple[SpineGeometry, SpineTables]:
    rng = np.random.default_rng(seed)
    geometry = draw_spine(rng, lumbar_vertebrae=lumbar)
    return geometry, spine_tables(geometry, rng)


@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_every_column_is_finite_and_as_long_as_the_curve(lumbar: int) -> None:
    geometry, tables = spine(0, lumbar)
    for field in fields(tables):
        column = getattr(tables, field.name)
        assert column.dtype == np.float32, field.name
        assert column.shape == geometry.angle.shape, field.name
        assert np.isfinite(column).all(), field.name


def test_offsets_are_zero_at_the_middles_and_grow_downward() -> None:
    geometry, tables = spine(1)
    for disc in geometry.discs:
        here = geometry.index(disc.t)
        assert tables.disc_offset[here] == pytest.approx(0, abs=0.13)
        assert tables.disc_offset[here + 4] == pytest.approx(1, abs=0.13)
        assert tables.disc_half[here] == pytest.approx(disc.half_height)
    for level in geometry.levels:
        assert tables.body_offset[geometry.index(level.center)] == pytest.approx(0, abs=0.13)


def test_cord_dura_and_canal_lie_in_each_other_and_end_one_after_the_other() -> None:
    for seed in range(10):
        geometry, tables = spine(seed)
        sacral = [geometry.index(level.center) for level in geometry.levels if level.sizes.name in ("S4", "S5")]
        last_cord, last_sac = (np.flatnonzero(column > 0).max() for column in (tables.cord, tables.sac))
        assert last_cord == pytest.approx(geometry.index(geometry.conus), abs=2)
        assert last_cord < last_sac < max(sacral)
        free = slice(geometry.index(0), last_sac)
        assert (tables.cord <= tables.sac)[free].all()
        assert (tables.sac + tables.ventral <= tables.canal + 1.5)[free].all()


def test_the_cord_is_thick_in_the_neck_and_above_its_end() -> None:
    geometry, tables = spine(2)
    places = {level.sizes.name: geometry.index(level.center) for level in geometry.levels}
    assert tables.cord_width[places["C5"]] > tables.cord_width[places["T8"]] < tables.cord_width[places["T11"]]


def test_there_are_ribs_in_the_chest_and_a_neck_above_it() -> None:
    geometry, tables = spine(3)
    places = {level.sizes.name: geometry.index(level.center) for level in geometry.levels}
    assert [tables.thorax[places[name]] for name in ("C5", "T6", "L2")] == [0, 1, 0]
    assert [tables.neck[places[name]] for name in ("C4", "T8", "L2")] == [1, 0, 0]


def test_bodies_end_with_the_coccyx() -> None:
    geometry, tables = spine(4)
    end = geometry.levels[-1].top + geometry.levels[-1].height
    assert tables.depth[geometry.index(end - 5)] > 2
    assert (tables.depth[geometry.index(end + 1) :] == 0).all()
