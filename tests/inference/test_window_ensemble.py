"""The scores of a window are the mean over networks and mirror images."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from helpers.phantoms import noise
from monai.networks.nets import UNet

from bundle.inference import SlabInferer


@pytest.fixture(scope="module")
def network() -> Callable[[torch.Tensor], torch.Tensor]:
    torch.manual_seed(0)
    return UNet(3, 2, 3, channels=(4, 8), strides=(2,)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pair() -> list[Callable[[torch.Tensor], torch.Tensor]]:
    torch.manual_seed(1)
    return [UNet(3, 2, 3, channels=(4, 8), strides=(2,)).eval().requires_grad_(False) for _ in range(2)]


def volume(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.as_tensor(noise(shape))


@pytest.mark.parametrize("given", ["call", "constructor", "both"])
def test_several_networks_give_the_mean_of_their_scores(given: str, network: Callable, pair: list) -> None:
    image = volume((1, 2, 11, 12, 13))
    members = {"call": [pair, []], "constructor": [pair[0], pair[1:]], "both": [[network, pair[0]], pair[1:]]}[given]
    everyone = [network, *pair] if given == "both" else pair
    each = [SlabInferer((8, 8, 8), output="scores")(image, member) for member in everyone]
    found = SlabInferer((8, 8, 8), output="scores", networks=members[1])(image, members[0])
    torch.testing.assert_close(found, sum(each) / len(each), atol=1e-6, rtol=1e-6)


def test_a_module_list_is_several_networks(pair: list) -> None:
    image = volume((1, 2, 9, 9, 9))
    found = [SlabInferer((8, 8, 8), output="scores")(image, group) for group in (pair, torch.nn.ModuleList(pair))]
    assert torch.equal(*found)


def test_networks_and_mirrorings_are_averaged_together_and_over_batches(pair: list) -> None:
    image = volume((1, 2, 11, 9, 10))
    options = {"output": "scores", "mirror_axes": (1, 2)}
    each = [SlabInferer((8, 8, 8), **options)(image, member) for member in pair]
    found = SlabInferer((8, 8, 8), sw_batch_size=3, **options)(image, pair)
    torch.testing.assert_close(found, (each[0] + each[1]) / 2, atol=1e-5, rtol=1e-5)


def test_further_networks_are_put_in_evaluation_mode() -> None:
    member = UNet(3, 2, 3, channels=(4, 8), strides=(2,)).train()
    SlabInferer((8, 8, 8), networks=[member, torch.square])
    assert not member.training


def test_networks_of_other_classes_do_not_make_an_ensemble(pair: list) -> None:
    with pytest.raises(ValueError, match=r"networks must agree on the classes, got 3 and 2"):
        SlabInferer((8, 8, 8))(volume((1, 2, 9, 9, 9)), [pair[0], lambda windows: windows])


@pytest.mark.parametrize("axes", [(0,), (2, 0), (0, 1, 2)])
def test_mirroring_averages_the_scores_of_all_mirrored_windows(axes: tuple[int, ...], network: Callable) -> None:
    image = volume((1, 2, 8, 8, 8))
    expected, count = torch.zeros(1, 3, 8, 8, 8), 0
    for flips in itertools.product(*[(False, True)] * len(axes)):
        dims = [axis + 2 for axis, flip in zip(axes, flips, strict=True) if flip]
        expected, count = expected + torch.flip(network(torch.flip(image, dims)), dims), count + 1
    found = SlabInferer((8, 8, 8), output="scores", mirror_axes=axes)(image, network)
    torch.testing.assert_close(found, expected / count, atol=1e-5, rtol=0)


def test_a_mirrored_volume_gets_the_mirrored_result(network: Callable) -> None:
    image = volume((1, 2, 20, 9, 10))
    inferer = SlabInferer((8, 8, 8), overlap=0.5, output="scores", mirror_axes=(0,))
    torch.testing.assert_close(inferer(image.flip(2), network).flip(2), inferer(image, network), atol=1e-5, rtol=0)


def test_mirror_axes_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mirror_axes must be spatial axes, 0 to 2, got \[3\]"):
        SlabInferer((8, 8, 8), mirror_axes=(3,))


@pytest.mark.parametrize("wrong", [lambda windows: [windows], lambda windows: {"scores": windows}])
def test_a_network_that_gives_no_tensor_is_refused(wrong: Callable) -> None:
    with pytest.raises(ValueError, match=r"network must return one tensor of scores, got (list|dict)"):
        SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9, 9), wrong)


def test_a_network_of_another_resolution_is_refused() -> None:
    with pytest.raises(ValueError, match=r"for windows \(1, 1, 8, 8, 8\) got \(1, 1, 4, 4, 4\)"):
        SlabInferer((8, 8, 8))(torch.zeros(1, 1, 9, 9, 9), lambda windows: windows[..., ::2, ::2, ::2])


def test_scores_of_a_network_in_training_hold_no_graph() -> None:
    network = torch.nn.Conv3d(1, 2, 1)
    assert not SlabInferer((8, 8, 8), output="scores")(torch.zeros(1, 1, 9, 9, 9), network).requires_grad
