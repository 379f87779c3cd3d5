"""Class activation maps, against closed forms for a network of two voxel-wise linear layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers.explained import NAMES, SIZE, Linear, volume
from torch import nn

from bundle.explain import ActivationMaps
from bundle.networks import AttentionUNet


def run(network: nn.Module, x: torch.Tensor, method: str, roi: tuple[int, ...] = SIZE, **options: Any) -> np.ndarray:
    """Return what the maps of both structures are made of: labels and maps ``(3, D, H, W)``."""
    maps = ActivationMaps(network, label_names=NAMES, roi_size=roi, layer="layer", method=method, **options)
    with torch.no_grad():
        return maps(x, network.eval()).double().numpy()[0]


def parts(network: Linear, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features ``(K, voxels)``, weights of the head ``(classes, K)`` and labels ``(voxels,)`` by numpy."""
    w1, b1 = (p.detach().double().numpy().reshape(3, -1) for p in (network.layer.weight, network.layer.bias))
    w2, b2 = (p.detach().double().numpy().reshape(3, -1) for p in (network.head.weight, network.head.bias))
    features = w1 * x.double().numpy().reshape(1, -1) + b1
    return features, w2, (w2 @ features + b2).argmax(0)


def hirescam(features: np.ndarray, weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.maximum(weights @ features, 0) * mask


def gradcam(features: np.ndarray, weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.maximum((weights * mask.sum() / mask.size) @ features, 0)


def gradcampp(features: np.ndarray, weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Spell the paper's formula (19) and the weights (5) out, channel by channel, without the factor exp(score)."""
    total = np.zeros(mask.size)
    for feature, weight in zip(features, weights, strict=True):
        gradient = weight * mask
        below = 2 * gradient**2 + (feature * gradient**3).sum()
        alpha = gradient**2 / (np.where(below != 0, below, 1) + 1e-7)
        total += (alpha * np.maximum(gradient, 0)).sum() * feature
    return np.maximum(total, 0)


CLOSED_FORMS: dict[str, Callable[..., np.ndarray]] = {
    "hirescam": hirescam,
    "gradcam": gradcam,
    "gradcampp": gradcampp,
}


@pytest.mark.parametrize("method", CLOSED_FORMS)
def test_the_map_of_a_linear_network_has_its_closed_form(method: str) -> None:
    network, x = Linear(), volume(*SIZE)
    features, weights, labels = parts(network, x)
    found = run(network, x, method)
    np.testing.assert_array_equal(found[0].ravel(), labels)
    for value, got in zip(NAMES.values(), found[1:], strict=True):
        wanted = CLOSED_FORMS[method](features, weights[value], labels == value)
        assert wanted.any()
        np.testing.assert_allclose(got.ravel(), wanted, rtol=1e-4, atol=1e-5 * wanted.max())


def test_the_map_of_a_voxelwise_network_does_not_depend_on_the_windows() -> None:
    network, x = Linear(), volume(9, 7, 11)
    features, weights, labels = parts(network, x)
    found = run(network, x, "hirescam", overlap=0.5)
    for value, got in zip(NAMES.values(), found[1:], strict=True):
        np.testing.assert_allclose(got.ravel(), hirescam(features, weights[value], labels == value), atol=1e-5)


def test_windows_are_not_scaled_separately() -> None:
    """Two windows side by side: in each, the map is that of the window, in the same unit."""
    network, x = Linear(), volume(8, 5, 6)
    found = run(network, x, "gradcam", overlap=0.0)
    for start in (0, 4):
        features, weights, labels = parts(network, x[:, :, start : start + 4])
        for value, got in zip(NAMES.values(), found[1:], strict=True):
            wanted = gradcam(features, weights[value], labels == value)
            np.testing.assert_allclose(got[start : start + 4].ravel(), wanted, rtol=1e-4, atol=1e-6)


def test_every_sample_of_a_batch_has_a_separate_map() -> None:
    network, x = Linear().eval(), torch.cat([volume(*SIZE), volume(*SIZE).flip(2) + 0.5])
    maps = ActivationMaps(network, label_names=NAMES, roi_size=SIZE, layer="layer", method="gradcampp")
    together = maps(x, network)
    torch.testing.assert_close(together, torch.cat([maps(sample[None], network) for sample in x]))


def test_a_structure_that_is_predicted_nowhere_has_a_map_of_zeros() -> None:
    network = Linear()
    with torch.no_grad():
        network.head.bias[2] = -1e3
    found = run(network, volume(*SIZE), "gradcam")
    assert found[1].any()
    assert not found[2].any()


def test_the_map_of_a_coarse_layer_is_enlarged_to_the_volume() -> None:
    network = AttentionUNet(3, 1, 3, channels=[4, 8], attention="se").eval()
    maps = ActivationMaps(network, label_names=NAMES, roi_size=(8, 8, 8), layer="encoders.1")
    assert maps(volume(8, 6, 9), network).shape == (1, 3, 8, 6, 9)


def test_the_network_is_left_as_it_was() -> None:
    network = Linear().train()
    maps = ActivationMaps(network, label_names=NAMES, roi_size=SIZE, layer="layer", structure="b")
    assert maps(volume(*SIZE), network).shape[1] == 2
    assert network.training
    assert not network.layer._forward_hooks
    assert not network.layer._backward_hooks
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_method_must_be_known() -> None:
    with pytest.raises(ValueError, match="cam_method must be one of hirescam, gradcam, gradcampp, got 'cam'"):
        ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer", method="cam")


@pytest.mark.filterwarnings("ignore:Backward hook for network.aside is not triggered")
@pytest.mark.parametrize(
    ("layer", "message"),
    [("idle", "is not run"), ("aside", "is not run"), ("pair", "'pair' returns no feature map")],
)
def test_a_layer_that_cannot_be_mapped_is_named(layer: str, message: str) -> None:
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer=layer)
    with pytest.raises(ValueError, match=f"cam_layer.*{message}"):
        maps(volume(*SIZE), Linear().eval())
