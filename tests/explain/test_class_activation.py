"""Class activation maps of a classification, against closed forms for a network of one convolution and a mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image
from torch import nn

from bundle.explain import ClassMaps, SaveClassMapsd
from bundle.explain.class_activation import HEAT, OPACITY, blend_map
from bundle.networks import ARLNet

NAMES = ["melanoma", "keratosis"]
HEAD = [[1.0, -1.0], [-0.5, 2.0]]


class Linear(nn.Module):
    """Features A = relu(layer(x)), logits = head(mean over places of A): the gradient is the head's weight / places."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head, self.idle = nn.Conv2d(3, 2, 1), nn.Linear(2, 2), nn.Identity()
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(HEAD))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).mean((2, 3)))


def images(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_maps_are_the_weighted_features(method: str) -> None:
    torch.manual_seed(0)
    network, x = Linear().eval(), images(2)
    with torch.no_grad():
        maps = ClassMaps(network, class_names=NAMES, layer="layer", method=method)(x, network)
        features = network.layer(x)
    expected = torch.einsum("ck,bkhw->bchw", torch.tensor(HEAD), features).clamp(min=0) / 48
    torch.testing.assert_close(maps, expected)


def test_one_class_can_be_mapped_alone_and_metadata_do_no_harm() -> None:
    network, x = Linear().eval(), images()
    both = ClassMaps(network, class_names=NAMES, layer="layer")(x, network)
    for structure in ("keratosis", 2):
        one = ClassMaps(network, class_names=NAMES, layer="layer", structure=structure)
        torch.testing.assert_close(one(MetaTensor(x), network), both[:, 1:])
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("method", ["gradcam", "gradcampp", "hirescam"])
def test_arlnet_is_mapped_at_the_size_of_the_image(method: str) -> None:
    torch.manual_seed(0)
    network = ARLNet(2, 3, 2, depth=18, width=0.125).eval()
    maps = ClassMaps(network, class_names=NAMES, method=method)(torch.rand(1, 3, 64, 96), network)
    assert maps.shape == (1, 2, 64, 96)
    assert (maps >= 0).all()


def test_bad_arguments_are_reported() -> None:
    network = Linear()
    with pytest.raises(ValueError, match="cam_method must be one of"):
        ClassMaps(network, class_names=NAMES, layer="layer", method="cam")
    with pytest.raises(
        ValueError, match=r"cam_layer must be a layer of Linear, got 'trunk\.layer4'; choose one of layer, "
    ):
        ClassMaps(network, class_names=NAMES)
    with pytest.raises(ValueError, match="cam_class 'nevus' is none of"):
        ClassMaps(network, class_names=NAMES, layer="layer", structure="nevus")
    for layer in ("idle", "head"):
        with pytest.raises(ValueError, match=f"cam_layer '{layer}' returns no feature map"):
            ClassMaps(network, class_names=NAMES, layer=layer)(images(), network)


def case(folder: Path, size: tuple[int, int] = (12, 16)) -> dict[str, Any]:
    """Write an image and return its case with the maps of two classes, of which the second is zero."""
    pixels = np.full((*size, 3), 100, np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    maps = torch.zeros(2, 6, 8)
    maps[0, 2, 4] = 3.0
    meta = {"filename_or_obj": str(folder / "a.png"), "original_size": list(size)}
    return {"image": MetaTensor(torch.zeros(3, 6, 8), meta=meta), "pred": maps, "case": "a"}


def test_maps_are_written_at_the_size_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    maps = ClassMaps(Linear(), class_names=NAMES, layer="layer")
    result = SaveClassMapsd("pred", maps=maps, output_dir=tmp_path / "out")(case(tmp_path))["record"].to_json()
    assert result == json.loads((tmp_path / "out" / "a_cam.json").read_text())
    assert (result["method"], result["layer"]) == ("gradcam", "layer")
    with Image.open(tmp_path / "out" / "a_cam_melanoma.png") as image:
        heat = np.asarray(image)
        assert (image.mode, image.size) == ("L", (16, 12))
    assert heat.max() == 255
    row, column = result["maps"]["melanoma"]["peak_pixel"]
    assert heat[row, column] == 255
    assert (row // 2, column // 2) == (2, 4)
    with Image.open(tmp_path / "out" / "a_cam_melanoma.jpg") as image:
        assert image.size == (16, 12)
    assert result["maps"]["keratosis"]["peak_pixel"] is None
    assert result["remarks"] == ["the map of keratosis is zero: no pixel of the layer supports it"]
    assert "the map of keratosis is zero" in caplog.text


def test_a_key_may_be_missing(tmp_path: Path) -> None:
    maps = ClassMaps(Linear(), class_names=NAMES, layer="layer")
    save = SaveClassMapsd("other", maps=maps, output_dir=tmp_path / "out", allow_missing_keys=True)
    assert "record" not in save(case(tmp_path))


def test_the_opacity_of_a_map_is_its_value() -> None:
    heat = np.array([[0.0, 1.0]])
    for pixels in (np.full((1, 2, 3), 100, np.uint8), np.full((1, 2, 3), 100 * 257, np.uint16)):
        shown = blend_map(pixels, heat)
        assert shown[0, 0].tolist() == [100, 100, 100]
        assert shown[0, 1].tolist() == [round(100 * (1 - OPACITY) + OPACITY * value) for value in HEAT]
