"""Mean squared error over the landmarks that are known."""

from __future__ import annotations

import pytest
import torch

from bundle.losses import JointMSELoss

NAN = float("nan")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def literal(maps: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> float:
    """Loop over joints, samples and cells."""
    total = 0.0
    for joint in range(maps.shape[1]):
        squares = [
            (weight[sample, joint] * (p - t)).item() ** 2
            for sample in range(maps.shape[0])
            for p, t in zip(maps[sample, joint].flatten(), target[sample, joint].flatten(), strict=True)
        ]
        total += 0.5 * sum(squares) / len(squares)
    return total / maps.shape[1]


@pytest.mark.parametrize("size", [(6, 5), (4,), (3, 2, 4)])
def test_loss_is_half_the_mean_square_over_the_visible_joints(size: tuple[int, ...]) -> None:
    maps, target = draw(2, 3, *size), draw(2, 3, *size, seed=1)
    weight = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    assert JointMSELoss()(maps, target, weight).item() == pytest.approx(literal(maps, target, weight), rel=1e-12)


def test_nan_target_is_a_weight_of_zero() -> None:
    maps, target = draw(2, 3, 6, 5), draw(2, 3, 6, 5, seed=1)
    weight = torch.tensor([[1, 0, 1], [0, 1, 1]], dtype=torch.float64)
    unknown = torch.where(weight[:, :, None, None] == 0, NAN, target)
    assert JointMSELoss()(maps, unknown).item() == pytest.approx(literal(maps, target, weight), rel=1e-12)


def test_unknown_joint_has_exactly_no_gradient_and_the_others_theirs() -> None:
    maps, target = draw(2, 3, 6, 5).requires_grad_(), draw(2, 3, 6, 5, seed=1)
    target[0, 1], target[1, 2, 0, 0] = NAN, NAN
    JointMSELoss()(maps, target).backward()
    expected = ((maps.detach() - target) / maps.numel()).nan_to_num()
    torch.testing.assert_close(maps.grad, expected, rtol=1e-12, atol=0)
    assert not maps.grad[0, 1].any()
    assert maps.grad[1, 2, 0, 0] == 0


def test_joint_known_to_be_absent_is_pulled_to_zero() -> None:
    maps = torch.ones(1, 1, 2, 2, requires_grad=True)
    JointMSELoss()(maps, torch.zeros(1, 1, 2, 2)).backward()
    assert (maps.grad > 0).all()


def test_half_precision_is_summed_in_single() -> None:
    maps, target = draw(1, 2, 4, 4).bfloat16(), draw(1, 2, 4, 4, seed=1).float()
    loss = JointMSELoss()(maps, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, JointMSELoss()(maps.float(), target))


@pytest.mark.parametrize(("maps", "target"), [((1, 2, 4, 4), (1, 3, 4, 4)), ((2, 3), (2, 3))])
def test_maps_that_do_not_fit_are_refused(maps: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the same shape \(B, J, ...\), got \("):
        JointMSELoss()(torch.zeros(maps), torch.zeros(target))


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weight must be \(B, J\) = \(1, 2\), got \(2,\)"):
        JointMSELoss()(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4), torch.ones(2))


def test_cells_of_a_landmark_may_weigh_more() -> None:
    maps, target = draw(2, 3, 6, 5), draw(2, 3, 6, 5, seed=1)
    target[0, 1] = NAN
    known = ~target.isnan()
    squares = (1 + 4 * target[known]) * (maps[known] - target[known]) ** 2
    assert JointMSELoss(foreground=4.0)(maps, target).item() == pytest.approx(
        0.5 * squares.sum().item() / maps.numel(), rel=1e-12
    )


def test_the_weight_of_the_foreground_is_not_negative() -> None:
    with pytest.raises(ValueError, match="foreground must be 0 or more, got -1"):
        JointMSELoss(foreground=-1)
