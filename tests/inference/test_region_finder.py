"""Regions that a network finds on a coarse grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor
from monai.data import MetaTensor

from bundle.inference.region_finder import Region, RegionFinder, extent_mm, region_box

REGIONS = {"left": 1, "right": 2}
OBLIQUE = np.array([[0.0, -2, 0, 50], [3, 0, 0, -20], [0, 0, 4, 7], [0, 0, 0, 1]])


class ByValue(torch.nn.Module):
    """Scores by the value of a voxel: class 1 at 1, class 2 at 2; the shapes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.shapes.append(tuple(x.shape))
        return torch.cat([5 - 10 * (x - value).abs() for value in (0, 1, 2)], dim=1)


def nothing(data: Mapping[Any, Any]) -> Mapping[Any, Any]:
    return data


def two_regions() -> MetaTensor:
    """Return an image with a box and a smaller one of class 1, and a box at the border of class 2."""
    image = torch.zeros(1, 1, 20, 18, 17)
    image[..., 3:7, 4:6, 5:8] = 1
    image[..., 12, 12, 12] = 1
    image[..., 17:20, 4:8, 5:8] = 2
    return meta_tensor(image[0], affine=OBLIQUE)[None]


def test_a_region_is_the_largest_component_in_world_coordinates() -> None:
    network = ByValue()
    left, right = RegionFinder(network, regions=REGIONS, preprocessing=nothing)(two_regions())
    assert left.center_mm == tuple(OBLIQUE[:3] @ [4.5, 4.5, 6, 1])
    assert left.volume_mm3 == 4 * 2 * 3 * 24
    assert (left.found, left.cut, right.found, right.cut) == (True, False, True, True)
    assert left.probability > 0.99
    assert network.shapes == [(1, 1, 32, 32, 32)]


def test_a_region_that_is_not_there_is_missing() -> None:
    image = two_regions()
    image[image == 2] = 0
    _, right = RegionFinder(ByValue(), regions=REGIONS, preprocessing=nothing)(image)
    assert right == Region("right")
    assert right.to_json() == {
        "name": "right",
        "center_mm": None,
        "volume_mm3": 0.0,
        "probability": 0.0,
        "cut": False,
        "found": False,
    }


def test_a_small_component_is_none() -> None:
    finder = RegionFinder(ByValue(), regions=REGIONS, preprocessing=nothing, min_volume_mm3=700)
    assert [region.found for region in finder(two_regions())] == [False, True]


def test_the_network_sees_the_preprocessed_image() -> None:
    def doubled(data: Mapping[Any, Any]) -> dict[Any, Any]:
        return {"image": data["image"] * 2}

    left, right = RegionFinder(ByValue(), regions=REGIONS, preprocessing=doubled, divisor=1)(two_regions())
    assert right.center_mm == tuple(OBLIQUE[:3] @ [18, 5.5, 6, 1])
    assert not left.found


def test_without_a_region_there_is_nothing_to_find() -> None:
    with pytest.raises(ValueError, match="regions must name at least one region"):
        RegionFinder(ByValue(), regions={}, preprocessing=nothing)


def test_the_extent_is_in_mm() -> None:
    assert extent_mm(two_regions()) == [60.0, 36.0, 68.0]


def test_a_box_has_its_size_in_mm_and_ends_at_the_border() -> None:
    image = two_regions()
    center = OBLIQUE[:3] @ [10, 9, 8, 1]
    assert region_box(image, center, [12, 8, 16]) == (slice(8, 13), slice(7, 12), slice(6, 11))
    corner = OBLIQUE[:3] @ [0, 17, 8, 1]
    assert region_box(image, corner, [12, 8, 16]) == (slice(0, 3), slice(15, 18), slice(6, 11))


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5, 0.9])
def test_a_box_is_never_larger_than_asked(shift: float) -> None:
    image = meta_tensor(torch.zeros(1, 100, 90, 80))[None]
    box = region_box(image, [50 + shift, 40 - shift, 40 + shift], [39, 55, 39])
    assert all(part.stop - part.start - 1 <= size for part, size in zip(box, (39, 55, 39), strict=True))
