from __future__ import annotations

import numpy as np
import pytest

from bundle.phantoms.spine.spine_geometry import ABOVE, STEP, SpineGeometry, draw_spine


def spine(seed: int = 0, **options: object) -> SpineGeometry:
    return draw_spine(np.random.default_rng(seed), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_place_along_the_curve_is_found_again_from_its_millimeters(seed: int) -> None:
    geometry = spine(seed, scoliosis=8)
    rng = np.random.default_rng(seed)
    for t, u in zip(rng.uniform(-20, 500, 40), rng.uniform(-15, 15, 40), strict=True):
        r, a, s = geometry.place(t, u)
        found = geometry.local(r, *geometry.along(np.array([a]), np.array([s])))
        assert np.allclose(np.ravel(found), [t, u, 0], atol=0.12)


def test_the_distance_from_the_curve_is_that_of_its_nearest_point() -> None:
    geometry = spine(3)
    rng = np.random.default_rng(0)
    sample = geometry.index(rng.uniform(0, 500, 200))
    points = geometry.curve[sample] + rng.uniform(-12, 12, (200, 2))
    nearest = np.linalg.norm(points[:, None] - geometry.curve[None], axis=2)
    t, u = geometry.along(*points.T)
    assert np.allclose(np.abs(u), nearest.min(axis=1), atol=0.05)
    assert np.allclose(t, nearest.argmin(axis=1) * STEP - ABOVE, atol=0.6)


def test_tips_are_posterior_to_the_wall_by_the_bulge_of_their_disc() -> None:
    geometry = spine(4, scoliosis=0)
    bulges = {disc.value: disc.bulge for disc in geometry.discs if disc.value}
    for value, _, a, s in geometry.tips():
        distance = np.linalg.norm(geometry.curve - (a, s), axis=1).min()
        assert distance == pytest.approx(bulges.get(int(value), 0.0), abs=0.03 + STEP / 2)


@pytest.mark.parametrize(("lumbar", "values"), [(5, [*range(2, 26)]), (4, [*range(2, 24), 25]), (6, [*range(2, 26)])])
def test_tips_have_the_numbers_of_the_variant_from_the_head_down(lumbar: int, values: list[int]) -> None:
    tips = spine(5, lumbar_vertebrae=lumbar).tips()
    assert tips.dtype == np.float64
    assert tips[:, 0].tolist() == values
    assert (np.diff(tips[:, 3]) < 0).all()


def test_a_sixth_lumbar_vertebra_doubles_the_distance_to_the_lumbosacral_disc() -> None:
    gaps = {n: np.linalg.norm(np.diff(spine(6, lumbar_vertebrae=n).tips()[-2:, 1:], axis=0)) for n in (5, 6)}
    assert 1.6 < gaps[6] / gaps[5] < 2.4


def test_spines_have_the_size_and_the_curves_of_people() -> None:
    for seed in range(60):
        geometry = spine(seed)
        tips = geometry.tips()
        gaps = np.linalg.norm(np.diff(tips[:, 1:], axis=0), axis=1)
        assert 380 < gaps[1:].sum() < 720
        assert gaps.min() > 9
        assert gaps.max() < 48
        assert gaps[-4:].mean() > 1.4 * gaps[1:5].mean()
        assert (np.diff(geometry.curve[:, 1]) < 0).all()
        neck, thorax, loin = (geometry.angle[geometry.index(d.t)] for d in (geometry.discs[i] for i in (5, 17, 22)))
        assert neck > thorax < loin


def test_the_promontory_is_the_sharpest_bend_of_the_loin() -> None:
    geometry = spine(7)
    bend = np.abs(np.gradient(geometry.angle, STEP))
    sharpest = bend[geometry.index(geometry.levels[0].center) : geometry.index(geometry.levels[24].top)].argmax()
    disc = geometry.discs[22]
    place = geometry.levels[0].center + sharpest * STEP
    assert abs(place - disc.t) < disc.half_height + 5


def test_tilt_brings_the_top_forward_by_its_angle() -> None:
    upright, tilted = (spine(8, tilt=tilt) for tilt in (0, 6))
    middle = slice(upright.index(0), upright.index(400))
    assert np.allclose(np.rad2deg(tilted.angle - upright.angle)[middle], 6, atol=1e-6)
    assert tilted.curve[0, 0] - tilted.curve[-1, 0] > upright.curve[0, 0] - upright.curve[-1, 0]


def test_scoliosis_bends_the_spine_to_the_side_and_turns_its_levels() -> None:
    straight, bent = (spine(9, scoliosis=degrees) for degrees in (0, 12))
    assert np.ptp(straight.lean) == pytest.approx(0)
    assert np.abs(straight.twist).max() == 0
    lean = np.rad2deg(np.arctan(bent.lean - straight.lean[0]))
    assert lean.max() == pytest.approx(12, abs=0.5)
    assert lean.min() == pytest.approx(-12, abs=0.5)
    assert np.abs(bent.twist).max() > 0
    assert np.allclose(np.diff(bent.lateral) / STEP, bent.lean[1:])


def test_the_cord_ends_near_the_first_lumbar_vertebra() -> None:
    for seed in range(20):
        geometry = spine(seed)
        tops = {level.sizes.name: level.top for level in geometry.levels}
        assert tops["T11"] < geometry.conus < tops["L3"]


def test_the_same_seed_is_the_same_spine() -> None:
    assert np.array_equal(spine(10).tips(), spine(10).tips())
    assert not np.array_equal(spine(10).tips(), spine(11).tips())
