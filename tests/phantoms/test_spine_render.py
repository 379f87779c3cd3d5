from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms.spine.spine_contrast import draw_contrast
from bundle.phantoms.spine.spine_geometry import draw_spine
from bundle.phantoms.spine.spine_grid import SpineGrid, draw_grid
from bundle.phantoms.spine.spine_render import render_spine
from bundle.phantoms.spine.spine_tables import spine_tables


def rendered(spacing: float, slices: int, *, forward: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    geometry = draw_spine(rng, scoliosis=0)
    tables = spine_tables(geometry, rng)
    tissue = draw_contrast(rng, "t2")[1]
    grid = draw_grid(rng, geometry, (21, 22), shape=(slices, 50, 50), spacing=(spacing, 2, 2))
    grid = SpineGrid(grid.origin + np.array([0, forward, 0]), grid.spacing, grid.shape)
    return render_spine(np.random.default_rng(1), geometry, tables, tissue, grid)


@pytest.mark.parametrize(("spacing", "slices"), [(1.0, 3), (4.0, 2), (6.0, 1), (30.0, 6)])
def test_signals_are_finite_and_from_0_to_about_1(spacing: float, slices: int) -> None:
    signal = rendered(spacing, slices)
    assert signal.dtype == np.float32
    assert signal.shape == (slices, 50, 50)
    assert np.isfinite(signal).all()
    assert signal.min() >= 0
    assert 0.5 < signal.max() < 2


def test_a_field_lateral_to_the_spine_shows_none_of_it() -> None:
    assert np.isfinite(rendered(4.0, 1, forward=400.0)).all()
    assert rendered(4.0, 1, forward=400.0).max() == 0


def test_a_thick_slice_is_smoother_to_the_side_than_thin_ones() -> None:
    thin, thick = rendered(1.0, 1), rendered(8.0, 1)
    assert not np.array_equal(thin, thick)
    assert np.corrcoef(thin.ravel(), thick.ravel())[0, 1] > 0.6
