"""Skeletal loss and the soft maximum."""

from __future__ import annotations

import math
from itertools import combinations, product

import pytest
import torch

from bundle.losses import SkeletalLoss, soft_argmax
from bundle.losses.skeletal_loss import pairwise_distances

NAN = float("nan")


def blobs(points: list[tuple[float, ...] | None], size: tuple[int, ...], peak: float = 1.0) -> torch.Tensor:
    """Draw a Gaussian of one cell a point, ``(1, J, ...)``, zeros for None."""
    maps = torch.zeros(1, len(points), *size, dtype=torch.float64)
    for joint, point in enumerate(points):
        for cell in product(*(range(side) for side in size)) if point else ():
            squares = sum((index - place) ** 2 for index, place in zip(cell, point, strict=True))
            maps[(0, joint, *cell)] = peak * math.exp(-squares / 2)
    return maps


def literal_point(one: torch.Tensor, sharpness: float) -> list[float]:
    """Mean index under the weights exp(sharpness * map), cell by cell."""
    cells = list(product(*(range(side) for side in one.shape)))
    weights = [math.exp(sharpness * one[cell].item()) for cell in cells]
    return [
        sum(w * cell[axis] for w, cell in zip(weights, cells, strict=True)) / sum(weights) for axis in range(one.dim())
    ]


def literal_loss(maps: torch.Tensor, target: torch.Tensor, decay: float, sharpness: float) -> float:
    """Loop over samples and pairs of joints whose target is known and has a peak of 0.1 or more."""
    losses = []
    for p, t in zip(maps, target, strict=True):
        visible = [j for j in range(len(t)) if not t[j].isnan().any() and t[j].max() >= 0.1]
        peaks = {j: t[j].max().item() for j in visible}
        found = {j: literal_point(p[j], sharpness / peaks[j]) for j in visible}
        true = {j: literal_point(t[j], sharpness / peaks[j]) for j in visible}
        total = weights = 0.0
        for a, b in combinations(visible, 2):
            difference = (math.dist(true[a], true[b]) - math.dist(found[a], found[b])) / max(t.shape[1:])
            total += decay ** (b - a) * difference**2
            weights += decay ** (b - a)
        losses.append(total / weights if weights else 0.0)
    return sum(losses) / len(losses)


def random_case(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw maps of two samples and five joints; some targets are unknown, some zero, some fainter than others."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 5, *size, dtype=torch.float64, generator=generator) ** 4
    maps = torch.rand(2, 5, *size, dtype=torch.float64, generator=generator)
    target[0, 1], target[1, 3], target[1, 0] = NAN, 0.0, target[1, 0] * 0.4
    return maps, target


@pytest.mark.parametrize("size", [(6, 7), (9,), (3, 4, 5)])
@pytest.mark.parametrize("decay", [0.8, 1.0])
def test_loss_is_the_weighted_mean_difference_of_distances(size: tuple[int, ...], decay: float) -> None:
    maps, target = random_case(*size)
    loss = SkeletalLoss(decay=decay, sharpness=5.0)(maps, target)
    assert loss.item() == pytest.approx(literal_loss(maps, target, decay, 5.0), rel=1e-10)


def test_gradient_is_the_slope_of_the_loss_and_reaches_the_visible_maps_alone() -> None:
    maps, target = random_case(4, 3)
    loss = SkeletalLoss(sharpness=3.0)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), maps.requires_grad_())
    loss(maps, target).backward()
    reached = maps.grad.flatten(2).any(-1)
    assert reached.tolist() == [[True, False, True, True, True], [True, True, True, False, True]]


def test_step_against_the_gradient_corrects_a_distance() -> None:
    target = blobs([(4, 4), (4, 12)], (9, 17))
    maps = blobs([(4, 4), (4, 9)], (9, 17)).requires_grad_()
    loss = SkeletalLoss()
    before = loss(maps, target)
    before.backward()
    assert loss(maps.detach() - 0.1 * maps.grad / maps.grad.abs().max(), target) < before


@pytest.mark.parametrize("peak", [1.0, 0.3])
def test_maps_that_equal_their_targets_have_no_loss(peak: float) -> None:
    target = blobs([(2, 3), None, (7.4, 8.1)], (10, 12), peak)
    assert SkeletalLoss()(target.clone(), target) == 0


def test_shifted_skeleton_has_no_loss_and_a_stretched_one_has() -> None:
    target = blobs([(6, 6), (6, 12), (8, 18)], (24, 30))
    shifted = blobs([(11, 9), (11, 15), (13, 21)], (24, 30))
    stretched = blobs([(6, 6), (6, 15), (9, 24)], (24, 30))
    assert SkeletalLoss()(shifted, target) < 1e-10
    expected = (0.8 * (3 / 30) ** 2 + 0.8 * ((math.hypot(3, 9) - math.hypot(2, 6)) / 30) ** 2) / (2 * 0.8 + 0.64)
    expected += 0.64 * ((math.hypot(3, 18) - math.hypot(2, 12)) / 30) ** 2 / (2 * 0.8 + 0.64)
    assert SkeletalLoss()(stretched, target).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("points", [[None, None], [(3, 3), None]])
def test_fewer_than_two_visible_landmarks_have_no_loss_and_no_gradient(points: list) -> None:
    target = blobs(points, (6, 6))
    target[0, 1] = NAN
    maps = torch.rand_like(target).requires_grad_()
    loss = SkeletalLoss()(maps, target)
    loss.backward()
    assert loss == 0
    assert not maps.grad.any()


def test_maps_that_are_all_zero_have_a_finite_gradient() -> None:
    target = blobs([(2, 2), (6, 6)], (9, 9))
    maps = torch.zeros_like(target).requires_grad_()
    SkeletalLoss()(maps, target).backward()
    assert maps.grad.isfinite().all()


def test_soft_maximum_of_a_sharp_map_is_its_center() -> None:
    maps = blobs([(3.0, 8.0), (5.5, 2.0)], (9, 12))
    points = soft_argmax(maps, torch.full((1, 2), 20.0, dtype=torch.float64))
    torch.testing.assert_close(
        points[0], torch.tensor([[3.0, 8.0], [5.5, 2.0]], dtype=torch.float64), rtol=0, atol=1e-3
    )


def test_distances_are_those_of_all_pairs() -> None:
    points = torch.rand(2, 4, 3, dtype=torch.float64)
    expected = [[[math.dist(a, b) for b in one] for a in one] for one in points.tolist()]
    torch.testing.assert_close(pairwise_distances(points), torch.tensor(expected, dtype=torch.float64))


def test_maps_of_another_size_than_the_target_are_refused() -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        SkeletalLoss()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize(
    ("option", "value"),
    [("decay", 0.0), ("decay", 1.1), ("sharpness", 0.0), ("least_peak", 0.0), ("sharpness", NAN)],
)
def test_bad_option_is_refused_by_its_name(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{option} must be"):
        SkeletalLoss(**{option: value})
