"""Loss of a network that returns heat maps."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from torch import nn
from torch.nn import functional

from bundle.losses import HeatmapLoss, JointMSELoss, SkeletalLoss

NAN = float("nan")


def case(seed: int = 0, size: tuple[int, int] = (6, 5)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(2, 4, *size, generator=generator)
    target[0, 1] = NAN
    return torch.rand(2, 4, *size, generator=generator), target


def test_loss_of_one_stage_is_the_joint_error_plus_the_weighted_skeletal_term() -> None:
    maps, target = case()
    joint, skeletal = JointMSELoss()(maps, target), SkeletalLoss(decay=0.5, sharpness=4.0)(maps, target)
    assert HeatmapLoss()(maps, target) == joint
    loss = HeatmapLoss(skeletal_weight=2.5, decay=0.5, sharpness=4.0)(maps, target)
    torch.testing.assert_close(loss, joint + 2.5 * skeletal)


def test_stages_add_up() -> None:
    (first, target), (second, _) = case(), case(seed=1)
    loss = HeatmapLoss(skeletal_weight=0.3)
    torch.testing.assert_close(loss([first, second], target), loss(first, target) + loss(second, target))


def test_coarser_maps_are_enlarged_linearly_to_their_target() -> None:
    coarse, (_, target) = torch.rand(2, 4, 3, 2), case(size=(12, 8))
    enlarged = functional.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)
    loss = HeatmapLoss(skeletal_weight=0.3)
    torch.testing.assert_close(loss(coarse, target), loss(enlarged, target))


@pytest.mark.parametrize("size", [(4,), (2, 3), (2, 3, 2)])
def test_maps_of_any_number_of_axes_are_enlarged(size: tuple[int, ...]) -> None:
    target = torch.zeros(1, 2, *(4 * side for side in size))
    assert HeatmapLoss()(torch.ones(1, 2, *size), target).item() == pytest.approx(0.5)


def test_network_learns_from_what_is_known_under_a_trainer_of_monai() -> None:
    image, (_, target) = torch.rand(2, 1, 6, 5), case()
    network = nn.Conv2d(1, 4, 1)
    before = network.bias.detach().clone()
    target[:, 2] = NAN
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": MetaTensor(image), "label": MetaTensor(target)}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=HeatmapLoss(skeletal_weight=1.0),
    )
    trainer.run()
    moved = network.bias.detach() != before
    assert moved.tolist() == [True, True, False, True]
    assert network.weight.isfinite().all()


def test_loss_of_a_target_with_metadata_is_a_plain_number() -> None:
    maps, target = case()
    loss = HeatmapLoss()(maps, MetaTensor(target))
    assert type(loss) is torch.Tensor
    assert loss == HeatmapLoss()(maps, target)


def test_maps_in_half_precision_are_enlarged_and_summed_in_single() -> None:
    loss = HeatmapLoss()([torch.rand(1, 2, 2, 2, dtype=torch.bfloat16)], torch.rand(1, 2, 8, 8))
    assert loss.dtype == torch.float32


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        HeatmapLoss()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="must have the same shape"):
        HeatmapLoss()(torch.zeros(1, 2, 4), torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("weight", [-1.0, NAN])
def test_weight_of_the_skeletal_term_is_not_negative(weight: float) -> None:
    with pytest.raises(ValueError, match=r"^skeletal_weight must be 0 or more"):
        HeatmapLoss(skeletal_weight=weight)
