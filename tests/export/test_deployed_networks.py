"""Exported modules give the labels of the workflows, from raw values."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch import nn
from torch.nn import functional

from bundle.export.deployed_networks import (
    DeployedClasses,
    DeployedDiscs,
    DeployedMasks,
    DeployedVolumes,
    known_or_own,
    resized,
    standardization,
)
from bundle.inference import FeatureDistanceInferer, SlabInferer
from bundle.inference.feature_distance import LEVEL
from bundle.networks import ARLNet, TrunkUNet
from bundle.tasks.classification import CropAverageInferer
from bundle.tasks.images import ImageTilesInferer
from bundle.tasks.spine import SagittalSlabsd
from bundle.transforms import NormalizeContentd, StandardizeIntensityd

UNKNOWN = torch.full((1, 4), float("nan"), dtype=torch.float64)
UNKNOWN_CHANNELS = torch.full((1, 2, 3), float("nan"))


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 300


@pytest.fixture(autouse=True)
def _without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("percentiles", [None, [1.0, 99.0], [0.5, 99.5]])
def test_the_standardization_is_that_of_the_transform(percentiles: list[float] | None) -> None:
    image = values(2, 9, 10, 11)
    low, high, mean, scale = standardization(image[None], percentiles)[0]
    found = ((image.double().clamp(low, high) - mean) * scale).float()
    wanted = StandardizeIntensityd("image", percentiles=percentiles)({"image": image})["image"]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_constant_image_becomes_zero_and_equal_limits_do_not_clip() -> None:
    assert standardization(torch.ones(1, 1, 3, 3, 3), [1, 99]).tolist() == [[1, 1, 1, 1]]
    mostly = torch.zeros(1, 1000)
    mostly[0, 0] = 5
    assert standardization(mostly, [1, 99])[0, :2].tolist() == [0, 5]


@pytest.mark.parametrize("shape", [(16, 16, 16), (13, 20, 9)])
def test_volumes_are_padded_and_labeled_as_by_the_inferer(shape: tuple[int, ...]) -> None:
    network, image = nn.Conv3d(1, 3, 3, padding=1), values(1, *shape)
    module = DeployedVolumes(network, roi_size=[max(size, 16) for size in shape], percentiles=[1.0, 99.0])
    _, probabilities, labels, used = module(image[None], UNKNOWN)
    prepared = StandardizeIntensityd("image", percentiles=[1.0, 99.0])({"image": image})["image"]
    wanted = SlabInferer(module.roi_size, output="labels")(prepared[None], network)
    assert torch.equal(labels, wanted)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1, *shape))
    window = image[None, :, 2:10, 3:9, 1:9]
    parts = DeployedVolumes(network, roi_size=[4, 4, 4], percentiles=[1.0, 99.0])
    assert not torch.equal(parts(window, used)[0], parts(window, UNKNOWN)[0])
    assert torch.equal(parts(window, used)[3], used)


def test_statistics_that_are_given_are_used_and_the_others_are_those_of_the_image() -> None:
    image = values(2, 1, 5, 6, 7)
    own = standardization(image, [1, 99])
    given = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    assert known_or_own(given, image, [1, 99]).tolist() == given.expand(2, 4).tolist()
    partly = torch.where(torch.tensor([[True, False, True, True]]), given, torch.nan)
    assert known_or_own(partly, image, [1, 99])[:, 1].tolist() == own[:, 1].tolist()
    assert known_or_own(partly, image, [1, 99])[:, 0].tolist() == [1, 1]


def test_every_image_of_a_batch_has_its_own_statistics() -> None:
    module = DeployedVolumes(nn.Conv3d(1, 2, 3, padding=1), roi_size=[8, 8, 8])
    one, other = values(1, 1, 9, 8, 10), 1000 * values(1, 1, 9, 8, 10, seed=1)
    together = module(torch.cat([one, other]), UNKNOWN)[0]
    torch.testing.assert_close(together, torch.cat([module(image, UNKNOWN)[0] for image in (one, other)]))


@pytest.mark.parametrize(("classes", "axes"), [(1, []), (3, [0, 1])])
def test_masks_are_those_of_the_inferer(classes: int, axes: list[int]) -> None:
    network, image = nn.Conv2d(3, classes, 3, padding=1), values(3, 60, 45) / 300
    inferer = ImageTilesInferer((32, 40), mirror_axes=axes)
    options = {"threshold": 0.4, "softmax": classes > 1, "mirrorings": inferer.mirrorings}
    module = DeployedMasks(network, roi_size=[32, 40], **options)
    probabilities, labels = module(image[None], UNKNOWN_CHANNELS)
    prepared = NormalizeContentd("image")({"image": image})["image"]
    scores = inferer(prepared[None], network)
    wanted = scores.softmax(1) if classes > 1 else scores.sigmoid()
    torch.testing.assert_close(probabilities, wanted, rtol=0, atol=1e-5)
    decided = wanted.argmax(1, keepdim=True) if classes > 1 else wanted > 0.4
    assert float((labels == decided).double().mean()) > 0.999


@pytest.mark.parametrize("mirror", [False, True])
def test_classes_are_those_of_the_inferer(mirror: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    inferer = CropAverageInferer((24, 24), scales=[0.8], mirror=mirror)
    normalization = {"subtrahend": [0.5, 0.4, 0.3], "divisor": [0.2, 0.3, 0.4]}
    options = {
        "mirror": mirror,
        "boxes": list(inferer.boxes([40, 48])),
        "temperature": [2.0, 1.0],
        "thresholds": [0.5, 0.5],
    }
    module = DeployedClasses(network, image_size=[40, 48], roi_size=[24, 24], normalization=normalization, **options)
    image = values(2, 3, 70, 50) / 300
    small = functional.interpolate(image, size=(40, 48), mode="bilinear", antialias=True)
    small = (small - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(1, 3, 1, 1)
    wanted = torch.sigmoid(inferer(small, network) / torch.tensor([2.0, 1.0]))
    probabilities, decisions = module(image)
    torch.testing.assert_close(probabilities, wanted, rtol=0, atol=1e-5)
    assert torch.equal(decisions.bool(), probabilities > 0.5)


def test_the_means_of_a_feature_are_those_that_are_compared_with_the_training_images() -> None:
    network = ARLNet(2, 3, 2, trunk="efficientnet_lite0").eval()
    inferer = CropAverageInferer((64, 64), scales=[0.8])
    options = {"boxes": list(inferer.boxes([80, 96])), "temperature": [1.0, 1.0], "thresholds": [0.5, 0.5]}
    normalization = {"subtrahend": [0.5] * 3, "divisor": [0.5] * 3}
    options |= {"normalization": normalization, "feature_level": LEVEL}
    module = DeployedClasses(network, image_size=[80, 96], roi_size=[64, 64], **options)
    image = values(1, 3, 80, 96) / 300
    measuring = FeatureDistanceInferer(inferer, enabled=True)
    measuring((image - 0.5) / 0.5, network)
    wanted = list(measuring.findings.results["plausibility"]["features"].values())
    torch.testing.assert_close(module(image)[2][0], torch.tensor(wanted), rtol=0, atol=2e-5)


def test_the_means_of_a_feature_of_a_segmentation_are_those_that_are_compared() -> None:
    network = TrunkUNet(2, 3, 1, trunk=("efficientnet_lite0", {"width": 0.25}), channels=(8, 8, 8, 8)).eval()
    module = DeployedMasks(network, roi_size=[64, 64], threshold=0.5, softmax=False, feature_level=LEVEL)
    image = values(3, 80, 96) / 300
    measuring = FeatureDistanceInferer(ImageTilesInferer((64, 64)), enabled=True)
    measuring(NormalizeContentd("image")({"image": image})["image"][None], network)
    wanted = list(measuring.findings.results["plausibility"]["features"].values())
    torch.testing.assert_close(module(image[None], UNKNOWN_CHANNELS)[2][0], torch.tensor(wanted), rtol=0, atol=2e-5)


def test_maps_of_discs_are_those_of_the_slabs() -> None:
    network = nn.Conv2d(1, 5, 4, stride=4)
    volume = MetaTensor(values(1, 9, 32, 48), affine=torch.diag(torch.tensor([4.0, 1.5, 1.5, 1.0])))
    prepared = StandardizeIntensityd("image", percentiles=[1.0, 99.0])({"image": volume})["image"]
    cut = SagittalSlabsd("image", offsets=(-6.0, 0.0, 6.0))
    weights = torch.as_tensor(cut.weights(prepared)).float()
    module = DeployedDiscs(network, percentiles=[1.0, 99.0])
    maps, peaks = module(volume.as_tensor()[None], weights, UNKNOWN)
    wanted = network(cut({"image": prepared})["image"].as_tensor())
    torch.testing.assert_close(maps, wanted, rtol=0, atol=1e-5)
    highest = maps.amax(0)
    for channel, (response, row, column) in enumerate(peaks.tolist()):
        assert response == highest[channel].max() == highest[channel, int(row), int(column)]
    given = torch.tensor([[10.0, 200.0, 50.0, 0.1]], dtype=torch.float64)
    standardized = (volume.as_tensor()[0].clamp(10, 200) - 50) * 0.1
    wanted = network(torch.einsum("nr,ras->nas", weights, standardized)[:, None])
    torch.testing.assert_close(module(volume.as_tensor()[None], weights, given)[0], wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("old", "new"), [((51, 40), (25, 26)), ((10, 9), (25, 26)), ((20, 20), (20, 20))])
def test_images_are_resized_as_by_torch(old: tuple[int, int], new: tuple[int, int]) -> None:
    maps = values(2, 3, *old) / 300
    wanted = functional.interpolate(maps, size=new, mode="bilinear", antialias=True)
    torch.testing.assert_close(resized(maps, new), wanted, rtol=0, atol=1e-5)
