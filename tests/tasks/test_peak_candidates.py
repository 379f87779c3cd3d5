from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bundle.tasks.spine.discs.heatmaps import make_heatmaps
from bundle.tasks.spine.discs.peak_candidates import Candidates, find_candidates, peak_widths


def maxima(image: np.ndarray, count: int, threshold: float, apart: float) -> list[tuple[int, int]]:
    """Greedy suppression of local maxima, cell by cell."""
    cells = []
    for i, j in itertools.product(*map(range, image.shape)):
        around = image[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        if image[i, j] >= threshold and image[i, j] == around.max():
            cells.append((i, j))
    chosen: list[tuple[int, int]] = []
    for cell in sorted(cells, key=lambda c: -image[c]):
        if all(np.hypot(cell[0] - c[0], cell[1] - c[1]) >= apart for c in chosen):
            chosen.append(cell)
    return chosen[:count]


def centroid(image: np.ndarray, cell: tuple[int, int], radius: int) -> np.ndarray:
    total, place = 0.0, np.zeros(2)
    for i, j in itertools.product(*map(range, image.shape)):
        weight = max(float(image[i, j]) - 0.1 * float(image[cell]), 0.0)
        if max(abs(i - cell[0]), abs(j - cell[1])) <= radius:
            total, place = total + weight, place + weight * np.array([i, j])
    return place / total


@pytest.mark.parametrize("seed", range(5))
def test_candidates_are_those_of_a_search_cell_by_cell(seed: int) -> None:
    maps = torch.rand(6, 13, 17, generator=torch.Generator().manual_seed(seed)) - 0.2
    found = find_candidates(maps, count=3, threshold=0.4, min_distance=10.0, stride=2, radius=3.0)
    for image, candidates in zip(maps.numpy(), found, strict=True):
        cells = maxima(image, 3, 0.4, 5.0)
        places = [(centroid(image, cell, 2) + 0.5) * 2 - 0.5 for cell in cells]
        np.testing.assert_allclose(candidates.positions, places, atol=1e-5)
        np.testing.assert_allclose(candidates.confidence, [image[c] for c in cells])


@pytest.mark.parametrize(("stride", "sigma", "bound"), [(1, 4.0, 0.005), (4, 4.0, 0.1), (4, 6.0, 0.1)])
def test_a_gaussian_is_found_at_a_fraction_of_a_pixel(stride: int, sigma: float, bound: float) -> None:
    points = np.random.default_rng(0).uniform(30, 100, (40, 2))
    found = find_candidates(make_heatmaps(points, (132 // stride,) * 2, sigma=sigma, stride=stride), stride=stride)
    assert [len(c) for c in found] == [1] * 40
    assert np.abs(np.concatenate([c.positions for c in found]) - points).max() < bound


def test_a_channel_without_a_response_has_no_candidate() -> None:
    maps = torch.stack([torch.zeros(8, 8), torch.full((8, 8), -1.0), 0.09 * torch.rand(8, 8)])
    assert [len(c) for c in find_candidates(maps)] == [0, 0, 0]


def test_a_plateau_is_one_candidate_at_its_middle() -> None:
    maps = torch.zeros(1, 20, 20)
    maps[0, 8:10, 11:13] = 0.7
    (found,) = find_candidates(maps)
    assert found.positions.tolist() == [[8.5, 11.5]]
    assert found.confidence.tolist() == pytest.approx([0.7])


def test_of_two_equal_maxima_too_close_the_first_stays() -> None:
    maps = torch.zeros(1, 20, 20)
    maps[0, 4, 4] = maps[0, 4, 9] = 0.5
    assert find_candidates(maps, radius=1.0, min_distance=6.0)[0].positions.tolist() == [[4.0, 4.0]]
    assert find_candidates(maps, radius=1.0, min_distance=5.0)[0].positions.tolist() == [[4.0, 4.0], [4.0, 9.0]]


def test_a_peak_in_the_corner_is_found() -> None:
    maps = torch.zeros(1, 6, 6)
    maps[0, 5, 0] = 1.0
    assert find_candidates(maps)[0].positions.tolist() == [[5.0, 0.0]]


def test_confidence_is_never_above_one() -> None:
    (found,) = find_candidates(1.3 * make_heatmaps([[10.0, 10.0]], (20, 20), sigma=2.0))
    assert found.confidence.tolist() == [1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, "numpy"])
def test_maps_may_be_of_any_floating_kind_and_carry_gradients(dtype: torch.dtype | str) -> None:
    maps = make_heatmaps([[10.0, 12.0]], (24, 24), sigma=3.0)
    given = maps.numpy() if dtype == "numpy" else maps.to(dtype).requires_grad_()
    (found,) = find_candidates(given)
    np.testing.assert_allclose(found.positions, [[10.0, 12.0]], atol=0.02)
    assert found.positions.dtype == found.confidence.dtype == np.float64


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        (torch.zeros(4, 4), {}, r"must be \(C, H, W\)"),
        (torch.zeros(0, 4, 4), {}, r"must be \(C, H, W\)"),
        (torch.full((1, 4, 4), torch.nan), {}, "NaN or Inf"),
        (torch.zeros(1, 4, 4), {"threshold": 0.0}, "threshold=0.0"),
        (torch.zeros(1, 4, 4), {"radius": 0.0}, "radius=0.0"),
        (torch.zeros(1, 4, 4), {"count": 0}, "count=0"),
        (torch.zeros(1, 4, 4), {"stride": 0}, "stride=0"),
        (torch.zeros(1, 4, 4), {"min_distance": -1.0}, "min_distance=-1.0"),
    ],
)
def test_bad_maps_and_options_are_named(maps: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_candidates(maps, **options)


@pytest.mark.parametrize(("positions", "confidence"), [((2, 2), (3,)), ((2, 3), (2,)), ((2, 2), (2, 1))])
def test_positions_and_confidence_of_candidates_must_fit(positions: tuple, confidence: tuple) -> None:
    with pytest.raises(ValueError, match="candidates need positions"):
        Candidates(np.zeros(positions), np.zeros(confidence))


@pytest.mark.parametrize("place", [(40.3, 61.9), (33.0, 46.0), (50.5, 37.49)])
def test_the_gaussian_fit_is_exact_for_a_gaussian(place: tuple[float, float]) -> None:
    maps = make_heatmaps(np.array([place]), (24, 24), sigma=4, stride=4)
    (found,) = find_candidates(maps, stride=4, fit="gaussian")
    np.testing.assert_allclose(found.positions, [place], atol=1e-4)


def test_the_gaussian_fit_is_little_moved_by_neighbors() -> None:
    places = np.array([[40.0, 30.5], [40.0, 43.0], [40.0, 55.0]])
    maps = make_heatmaps(places, (20, 24), sigma=4, stride=4).sum(0, keepdim=True)
    error = {}
    for fit in ("gaussian", "centroid"):
        (found,) = find_candidates(maps, stride=4, fit=fit)
        order = np.argsort(found.positions[:, 1])
        error[fit] = np.abs(found.positions[order] - places).max()
    assert error["gaussian"] < 0.8
    assert error["centroid"] > 2


def test_at_the_border_the_gaussian_fit_takes_the_middle_of_the_cell() -> None:
    maps = torch.zeros(1, 6, 6)
    maps[0, 0, 3], maps[0, 0, 2], maps[0, 1, 3] = 1.0, 0.5, 0.5
    (found,) = find_candidates(maps, fit="gaussian")
    assert found.positions[0, 0] == 0
    assert 2.5 <= found.positions[0, 1] <= 3


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fit must be one of centroid, gaussian, got 'spline'"):
        find_candidates(torch.zeros(1, 4, 4), fit="spline")


def test_the_width_of_a_peak_is_that_of_its_gaussian_and_larger_where_two_merge() -> None:
    alone = make_heatmaps([[40.0, 60.0]], (32, 32), sigma=4.0, stride=4)
    both = (alone + make_heatmaps([[40.0, 68.0]], (32, 32), sigma=4.0, stride=4)) / 2
    for maps, low, high in ((alone, 3.9, 4.1), (both, 5.0, 20.0)):
        ((width,),) = peak_widths(maps, find_candidates(maps, stride=4), stride=4)
        assert low < width < high


def test_a_peak_at_a_border_has_the_width_along_it_and_a_flat_one_has_none() -> None:
    maps = make_heatmaps([[1.5, 60.0]], (32, 32), sigma=4.0, stride=4)
    flat = torch.full((1, 8, 8), 0.5)
    (edge,) = peak_widths(maps, find_candidates(maps, stride=4), stride=4)
    np.testing.assert_allclose(edge, 4.0, atol=0.1)
    found = Candidates(np.array([[12.0, 12.0]]), np.array([0.5]))
    assert np.isinf(peak_widths(flat, [found], stride=4)[0]).all()
    corner = peak_widths(torch.rand(1, 1, 1), [Candidates(np.zeros((1, 2)), np.ones(1))])[0]
    assert corner.tolist() == [0.0]
    assert peak_widths(flat, [Candidates(np.zeros((0, 2)), np.zeros(0))])[0].shape == (0,)
