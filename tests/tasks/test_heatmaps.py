from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.transforms import GenerateHeatmap

from bundle.tasks.spine.discs.heatmaps import make_heatmaps


def double_loop(point: np.ndarray, shape: tuple[int, int], sigma: float, stride: int, peak: float) -> np.ndarray:
    image = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            row, column = (i + 0.5) * stride - 0.5, (j + 0.5) * stride - 0.5
            image[i, j] = peak * math.exp(-((row - point[0]) ** 2 + (column - point[1]) ** 2) / (2 * sigma**2))
    return image


@pytest.mark.parametrize(("stride", "sigma"), [(1, 2.0), (4, 5.0), (3, 1.5)])
def test_every_cell_holds_the_gaussian_of_its_distance_to_the_point(stride: int, sigma: float) -> None:
    points = np.random.default_rng(stride).uniform(-3, 40, (5, 2))
    peaks = np.linspace(0.2, 1, 5)
    found = make_heatmaps(points, (9, 12), sigma=sigma, stride=stride, amplitude=peaks)
    expected = [double_loop(p, (9, 12), sigma, stride, a) for p, a in zip(points, peaks, strict=True)]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


def test_cells_of_a_stride_lie_at_the_middle_of_their_pixels() -> None:
    """The middle of the four pixels 4 to 7 is 5.5, so a point there peaks with 1 in cell 1."""
    assert float(make_heatmaps([[5.5, 1.5]], (4, 4), sigma=4.0, stride=4)[0, 1, 0]) == 1.0


def test_at_integer_pixels_the_map_is_that_of_monai() -> None:
    points = np.array([[20.0, 31.0], [40.0, 12.0]], dtype=np.float32)
    expected = GenerateHeatmap(sigma=4.0)(points, (64, 48))
    np.testing.assert_allclose(make_heatmaps(points, (64, 48), sigma=4.0).numpy(), expected, atol=4e-3)


def test_an_absent_point_has_a_channel_of_zeros() -> None:
    maps = make_heatmaps(torch.tensor([[math.nan, 3.0], [3.0, math.nan], [3.0, 3.0]]), (8, 8), sigma=1.0)
    assert maps.amax((1, 2)).tolist() == [0.0, 0.0, 1.0]


def test_a_channel_whose_amplitude_is_unknown_is_nan_throughout() -> None:
    maps = make_heatmaps(
        [[3.0, 3.0], [math.nan, math.nan], [2.0, 2.0]], (4, 4), sigma=1.0, amplitude=[math.nan, math.nan, 0.5]
    )
    assert maps[:2].isnan().all()
    assert float(maps[2].max()) == 0.5


def test_no_channel_gives_no_map() -> None:
    assert make_heatmaps(np.zeros((0, 2)), (4, 5), sigma=1.0).shape == (0, 4, 5)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((2, 3)), {}, "points must be"),
        (np.zeros(2), {}, "points must be"),
        (np.zeros((2, 2)), {"shape": (4, 4, 4)}, "shape must be"),
        (np.zeros((2, 2)), {"shape": (4, 0)}, "shape must be"),
        (np.zeros((2, 2)), {"sigma": 0.0}, "sigma must be"),
        (np.zeros((2, 2)), {"stride": 0}, "stride"),
        (np.zeros((2, 2)), {"amplitude": [1.0]}, "amplitude needs"),
    ],
)
def test_bad_arguments_are_named(points: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_heatmaps(points, **{"shape": (4, 4), "sigma": 1.0} | options)
