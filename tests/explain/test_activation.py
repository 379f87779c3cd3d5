"""Class activation maps, against closed forms for a network of two voxel-wise linear layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, write_nifti
from monai.transforms import Compose, Orientationd
from PIL import Image
from torch import nn

from bundle.explain import ActivationMaps, SaveActivationd
from bundle.explain.activation import MaskedScore, find_layer, save_maps, select_structures
from bundle.io import LoadVolumed
from bundle.networks import AttentionUNet, AttentionVNet

NAMES = {"a": 1, "b": 2}
SIZE = (4, 5, 6)
HEAD = [[0.1, 0.2, -0.1], [1.5, -0.5, 0.3], [-0.5, 1.5, 0.4]]
"""Weights of the logits: class 1 answers to bright voxels, class 2 to dark ones."""


class Linear(nn.Module):
    """Features A = layer(x), logits = head(A), both voxel by voxel; the other three are no layers to map."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv3d(1, 3, 1), nn.Conv3d(3, 3, 1)
        self.idle, self.pair, self.aside = nn.Identity(), Pair(), nn.Conv3d(1, 1, 1)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([1.0, -1.0, 0.5]).reshape(3, 1, 1, 1, 1))
            self.layer.bias.copy_(torch.tensor([0.2, 0.1, 1.0]))
            self.head.weight.copy_(torch.tensor(HEAD).reshape(3, 3, 1, 1, 1))
            self.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.pair(x)
        self.aside(x)
        return self.head(self.layer(x))


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, x]


def volume(*size: int) -> torch.Tensor:
    return torch.as_tensor(noise((1, 1, *size)), dtype=torch.float32) * 2


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


def test_windows_are_not_scaled_by_themselves() -> None:
    """Two windows side by side: in each, the map is that of the window, in the same unit."""
    network, x = Linear(), volume(8, 5, 6)
    found = run(network, x, "gradcam", overlap=0.0)
    for start in (0, 4):
        features, weights, labels = parts(network, x[:, :, start : start + 4])
        for value, got in zip(NAMES.values(), found[1:], strict=True):
            wanted = gradcam(features, weights[value], labels == value)
            np.testing.assert_allclose(got[start : start + 4].ravel(), wanted, rtol=1e-4, atol=1e-6)


def test_every_sample_of_a_batch_has_a_map_of_its_own() -> None:
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


def test_the_score_of_a_class_is_the_sum_of_its_logits_over_its_voxels() -> None:
    logits = torch.randn(2, 3, 2, 2, 2, dtype=torch.float64)
    labels = logits.argmax(1, keepdim=True)
    scores = MaskedScore(nn.Identity())(logits, labels)
    for sample in range(2):
        for value in range(3):
            voxels = logits[sample, value][labels[sample, 0] == value]
            assert float(scores[sample, value].detach()) == pytest.approx(float(voxels.sum()))


def test_the_method_must_be_known() -> None:
    with pytest.raises(ValueError, match="cam_method must be one of hirescam, gradcam, gradcampp, got 'cam'"):
        ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer", method="cam")


@pytest.mark.parametrize(("structure", "expected"), [(None, NAMES), ("b", {"b": 2}), (1, {"a": 1}), ("2", {"b": 2})])
def test_a_structure_is_chosen_by_name_or_value(structure: Any, expected: dict[str, int]) -> None:
    assert select_structures(NAMES, structure) == expected


@pytest.mark.parametrize("structure", ["c", 0, 3])
def test_a_structure_must_exist(structure: Any) -> None:
    with pytest.raises(ValueError, match=rf"cam_class {structure!r} is none of the structures a \(1\), b \(2\)"):
        select_structures(NAMES, structure)


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (AttentionUNet(3, 1, 2, channels=[2, 2, 2], attention=None), "decoders.0"),
        (AttentionUNet(3, 1, 2, channels=[2, 2], attention=None), "encoders.1"),
        (AttentionVNet(3, 1, 2, channels=[2, 2, 2, 2], levels={"convs": [1, 1, 1]}, attention=None), "decoders.1"),
        (AttentionVNet(3, 1, 2, channels=[2, 2], levels={"convs": [1]}, attention=None), "bottleneck"),
    ],
    ids=["unet", "flat unet", "vnet", "flat vnet"],
)
def test_the_default_layer_is_the_decoder_level_before_the_last_or_the_deepest(network: nn.Module, layer: str) -> None:
    assert find_layer(network, None) == layer
    assert find_layer(network, "encoders.0") == "encoders.0"


@pytest.mark.parametrize("layer", [None, "no", "", "encoders"])
def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(layer: str | None) -> None:
    network = Linear() if layer is None else AttentionUNet(3, 1, 2, channels=[2, 2], attention=None)
    known = "layer, head, idle" if layer is None else "encoders.0, encoders.1"
    with pytest.raises(ValueError, match=rf"cam_layer must be a layer of \w+, got {layer!r}; choose one of .*{known}"):
        find_layer(network, layer)


@pytest.mark.filterwarnings("ignore:Backward hook for network.aside is not triggered")
@pytest.mark.parametrize(
    ("layer", "message"),
    [("idle", "is not run"), ("aside", "is not run"), ("pair", "'pair' returns no feature map")],
)
def test_a_layer_that_cannot_be_mapped_is_named(layer: str, message: str) -> None:
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer=layer)
    with pytest.raises(ValueError, match=f"cam_layer.*{message}"):
        maps(volume(*SIZE), Linear().eval())


def test_the_voxel_of_the_largest_value_is_told_on_the_grid_of_the_file(tmp_path: Path) -> None:
    """One hot voxel in a volume whose axes are turned: the file has a 1 there, and zeros elsewhere."""
    source = write_nifti(tmp_path / "scan.nii.gz", noise((4, 5, 6)), np.diag([-1.0, -1.0, 1.0, 1.0]))
    preprocessing = Compose([LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None)])
    image = preprocessing({"image": str(source)})["image"]
    pred = torch.zeros(3, 4, 5, 6)
    pred[0, 1:3], pred[1, 1, 2, 3] = 1, 7.5
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer")
    save = SaveActivationd("pred", maps=maps, transform=preprocessing, output_dir=tmp_path / "out")
    record = save({"image": image, "pred": meta_tensor(pred)})["result"]
    peak = (4 - 1 - 1, 5 - 1 - 2, 3)
    assert record["structures"]["a"]["peak_voxel"] == list(peak)
    assert record["structures"]["a"]["predicted_voxels"] == 60
    assert record["structures"]["a"]["share_inside"] == 1
    written = nib.load(tmp_path / "out" / "scan_cam_a.nii.gz")
    assert written.get_data_dtype() == np.float32
    values = np.asarray(written.dataobj)
    assert values[peak] == values.sum() == 1
    assert record["structures"]["b"]["peak_voxel"] is None
    assert record["remarks"] == ["the map of b is zero: it is predicted nowhere in this volume"]


def test_a_map_without_positive_evidence_is_told(tmp_path: Path) -> None:
    source = write_nifti(tmp_path / "scan.nii.gz", noise((4, 5, 6)))
    preprocessing = Compose([LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None)])
    pred = torch.zeros(2, 4, 5, 6)
    pred[0] = 2
    maps = ActivationMaps(Linear(), label_names=NAMES, roi_size=SIZE, layer="layer", structure="b")
    save = SaveActivationd("pred", maps=maps, transform=preprocessing, output_dir=tmp_path)
    record = save({**preprocessing({"image": str(source)}), "pred": meta_tensor(pred), "case": "x"})["result"]
    assert record["remarks"] == ["the map of b is zero: no voxel of the layer speaks for it"]
    assert not np.asarray(nib.load(tmp_path / "x_cam_b.nii.gz").dataobj).any()


def test_the_picture_has_a_row_a_structure(tmp_path: Path) -> None:
    image = meta_tensor(noise((1, 12, 14, 10)), np.diag([1.0, 1.0, 2.0, 1.0]))
    labels, heat = torch.zeros(12, 14, 10), torch.rand(2, 12, 14, 10)
    labels[4:8, 4:8, 4:8] = 1
    heights = []
    for names in ({"a": 1}, NAMES):
        save_maps(image, labels, heat[: len(names)], tmp_path / "map.png", names, title="case: method")
        with Image.open(tmp_path / "map.png") as picture:
            heights.append(picture.size[1])
            assert np.asarray(picture.convert("RGB")).std() > 10
    assert heights[1] == pytest.approx(2 * heights[0], abs=50)
