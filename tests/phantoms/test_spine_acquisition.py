from __future__ import annotations

import math

import numpy as np
import pytest

from bundle.phantoms.spine.spine_acquisition import acquire, shading

SPACING = (4.0, 1.0, 1.0)


def block() -> np.ndarray:
    voxels = np.zeros((4, 60, 60), np.float32)
    voxels[:, 20:40, 20:40] = 0.8
    return voxels


def test_without_noise_air_stays_black_and_the_brightest_is_one() -> None:
    image = acquire(np.random.default_rng(0), block(), SPACING, noise=0, bias_field=0)
    assert image.dtype == np.float32
    assert image.shape == (4, 60, 60)
    assert image[:, :15].max() == pytest.approx(0, abs=1e-6)
    assert image[:, 30, 30] == pytest.approx(1, rel=1e-3)


def test_noise_in_air_has_the_median_of_the_rayleigh_distribution() -> None:
    image = acquire(np.random.default_rng(1), block(), SPACING, noise=0.02, bias_field=0)
    median = 0.02 * math.sqrt(2 * math.log(2))
    assert 0.95 * median**1.2 < np.median(image[:, :15]) < 1.05 * median**0.85


def test_edges_are_blurred_in_the_slice_and_not_across_slices() -> None:
    voxels = block()
    voxels[2] = 0
    image = acquire(np.random.default_rng(2), voxels, SPACING, noise=0, bias_field=0)
    assert image[2].max() == 0
    assert 0 < image[0, 19, 30] < image[0, 20, 30] < image[0, 30, 30]


def test_the_signal_falls_with_the_distance_from_the_back() -> None:
    for seed in range(10):
        field = shading(np.random.default_rng(seed), (4, 80, 60), SPACING, 1.0)
        assert field.shape == (1, 80, 60)
        assert (field > 0).all()
        assert field[0, :20].mean() > field[0, -20:].mean()
    assert (shading(np.random.default_rng(0), (4, 80, 60), SPACING, 0.0) == 1).all()


def test_strength_and_noise_that_are_not_given_are_drawn() -> None:
    images = [acquire(np.random.default_rng(seed), block(), SPACING) for seed in (3, 3, 4)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_an_empty_signal_gives_an_image_of_noise() -> None:
    image = acquire(np.random.default_rng(5), np.zeros((2, 20, 20), np.float32), SPACING)
    assert np.isfinite(image).all()
    assert image.max() < 0.5
