"""Tiles refine the result of the complete image without a seam, and use it as context."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference

from bundle.tasks.images import ImageTilesInferer
from bundle.tasks.images.image_tiles import resized

SIZE = (480, 640)
ROWS, COLUMNS = torch.meshgrid(torch.arange(float(SIZE[0])), torch.arange(float(SIZE[1])), indexing="ij")
DISC = (ROWS - 236) ** 2 + (COLUMNS - 330) ** 2 < 190**2
IMAGE = (0.8 - 0.5 * DISC.float()).repeat(3, 1, 1)[None]
IMAGE += 0.02 * torch.randn(IMAGE.shape, generator=torch.Generator().manual_seed(0))


class Contrast:
    """A stand-in for a network: pixels darker than the mean of the input are lesion; even tiles have no contrast."""

    def __init__(self, sharpness: float = 40.0) -> None:
        self.sharpness, self.seen = sharpness, 0

    def __call__(self, parts: torch.Tensor) -> torch.Tensor:
        assert parts.shape[1:] == (3, 64, 64)
        self.seen += len(parts)
        gray = parts.mean(1, keepdim=True)
        low, high = gray.amin((2, 3), keepdim=True), gray.amax((2, 3), keepdim=True)
        return self.sharpness * ((low + high) / 2 - gray)


def jaccard(scores: torch.Tensor) -> float:
    found = scores[0, 0] > 0
    return float((found & DISC).sum() / (found | DISC).sum())


def test_the_example_is_the_image_as_the_network_gets_it() -> None:
    inferer, image = ImageTilesInferer((64, 64), tile_size=160), MetaTensor(IMAGE)
    assert not isinstance(inferer.example(image), MetaTensor)
    torch.testing.assert_close(inferer.example(image), resized(IMAGE, (64, 64)))
    torch.testing.assert_close(inferer.example(IMAGE), inferer.example(image))


def test_a_disc_larger_than_a_tile_has_no_seam() -> None:
    network = Contrast()
    tiled = ImageTilesInferer((64, 64), tile_size=160, reach=2)(IMAGE, network)
    assert tiled.shape == (1, 1, *SIZE)
    assert jaccard(tiled) >= 0.98
    alone = ImageTilesInferer((64, 64), tile_size=160, context=False)(IMAGE, Contrast())
    assert jaccard(alone) < 0.9
    inner = (ROWS - 236) ** 2 + (COLUMNS - 330) ** 2 < 150**2
    assert bool((tiled[0, 0][inner] > 0).all())


def test_no_step_is_larger_than_those_of_the_image() -> None:
    """A seam would be a line of steps of about 5, for every tile has a middle of its own."""
    smooth = torch.sigmoid((((ROWS - 236) ** 2 + (COLUMNS - 330) ** 2).sqrt() - 190) / 30)
    scores = ImageTilesInferer((64, 64), tile_size=160, reach=2)(smooth.repeat(1, 3, 1, 1), Contrast(10))[0, 0]
    assert float(scores.diff(dim=0).abs().max()) < 0.6
    assert float(scores.diff(dim=1).abs().max()) < 0.6


def test_tiles_are_finer_than_the_complete_image() -> None:
    stripes = torch.where((COLUMNS - 330).abs() < 4, 0.3, 0.8).repeat(1, 3, 1, 1)
    reference = (COLUMNS - 330).abs() < 4
    errors = [
        int(((ImageTilesInferer((64, 64), tile_size=tile)(stripes, Contrast(20))[0, 0] > 0) != reference).sum())
        for tile in (None, 64)
    ]
    assert errors[1] < 0.5 * errors[0]


def test_tiles_without_uncertainty_are_not_computed() -> None:
    network = Contrast()
    ImageTilesInferer((64, 64), tile_size=64, reach=0)(IMAGE, network)
    everywhere = Contrast()
    ImageTilesInferer((64, 64), tile_size=64, context="false")(IMAGE, everywhere)
    assert 1 < network.seen < 0.7 * everywhere.seen


@pytest.mark.parametrize("size", [(64, 64), (100, 40), (480, 640)])
def test_an_image_is_resized_to_the_network_and_back(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    network = Contrast()
    scores = ImageTilesInferer((64, 64), tile_size=None if size[0] == 480 else (100, 64))(image, network)
    assert network.seen == 2
    resize = {"mode": "bilinear", "antialias": True}
    small = Contrast()(torch.nn.functional.interpolate(image, (64, 64), **resize))
    torch.testing.assert_close(scores, torch.nn.functional.interpolate(small, size, **resize))


def test_tiles_alone_are_blended_as_monai_does() -> None:
    """At the network's own scale; MONAI moves the last windows back, here there is nothing to move."""
    image = torch.rand(1, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    inferer = ImageTilesInferer((64, 64), tile_size=64, overlap=0.5, context=False)
    theirs = sliding_window_inference(image, 64, 3, Contrast(), overlap=0.5, mode="gaussian")
    torch.testing.assert_close(inferer(image, Contrast()), theirs, rtol=1e-4, atol=1e-4)


def test_several_classes_are_uncertain_where_two_are_similar() -> None:
    def classes(parts: torch.Tensor) -> torch.Tensor:
        lesion = Contrast()(parts)
        return torch.cat([-lesion, lesion, -20 + 0 * lesion], dim=1)

    scores = ImageTilesInferer((64, 64), tile_size=160, reach=2)(IMAGE, classes)
    assert scores.shape == (1, 3, *SIZE)
    assert jaccard((scores.argmax(1) == 1).float()[None]) >= 0.98


def test_metadata_stay_and_arguments_are_passed_on() -> None:
    image = MetaTensor(IMAGE[..., :90, :100], meta={"filename_or_obj": "a.png"})
    scores = ImageTilesInferer((64, 64))(image, lambda parts, factor: factor * Contrast()(parts), factor=-1)
    assert isinstance(scores, MetaTensor)
    assert scores.meta["filename_or_obj"] == "a.png"
    expected = -resized(Contrast()(resized(image.as_tensor(), (64, 64))), (90, 100))
    torch.testing.assert_close(scores.as_tensor(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roi_size": (64,)}, r"roi_size must be two positive numbers, got \(64,\)"),
        ({"tile_size": 0}, "tile_size must be two positive numbers, got 0"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 1\), got 1.0"),
        ({"sw_batch_size": 0}, "sw_batch_size must be 1 or more"),
        ({"reach": -1}, "reach 0 or more, got 4 and -1"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageTilesInferer(**{"roi_size": (64, 64), **options})


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, C, H, W\), got \(3, 5, 5\)"):
        ImageTilesInferer((64, 64))(torch.zeros(3, 5, 5), Contrast())


def test_mirrored_scores_are_the_mean_over_all_mirrorings() -> None:
    torch.manual_seed(0)
    network, image = torch.nn.Conv2d(3, 2, 3, padding=1), torch.rand(2, 3, 32, 32)
    mirrorings = ([], [2], [3], [2, 3])
    with torch.no_grad():
        expected = torch.stack([network(image.flip(axes)).flip(axes) for axes in mirrorings]).mean(0)
        torch.testing.assert_close(ImageTilesInferer((32, 32), mirror_axes=[0, 1])(image, network), expected)
        tiled = ImageTilesInferer((16, 16), tile_size=16, mirror_axes=[1])
        torch.testing.assert_close(tiled(image, network).flip(3), tiled(image.flip(3), network))


def test_an_image_has_two_axes_to_mirror() -> None:
    with pytest.raises(ValueError, match=r"mirror_axes must be 0 for rows, 1 for columns or both, got \[2\]"):
        ImageTilesInferer((32, 32), mirror_axes=[2])
