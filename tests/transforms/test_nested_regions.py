"""Label maps of nested regions, against the rule voxel by voxel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.phantoms import meta_tensor

from bundle.inference import SlabInferer
from bundle.transforms import NestedRegions

REGIONS = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}


def depth(logits: torch.Tensor) -> torch.Tensor:
    """Return how many regions a voxel is in, from the outermost on, one voxel at a time."""
    result = torch.zeros(logits.shape[1:], dtype=torch.uint8)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in logits.shape[1:])).tolist():
        for logit in logits[(slice(None), *index)].tolist():
            if logit <= 0:
                break
            result[tuple(index)] += 1
    return result


def test_a_voxel_gets_the_innermost_region_whose_surroundings_it_is_in_too() -> None:
    logits = torch.randn(3, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(1, 4, 6, 5, 7)
    writer = NestedRegions(REGIONS).start(image, classes=3, axis=0)
    for slab in logits.split(2, dim=1):
        writer.add(slab.clone())
    assert torch.equal(writer.finish()[0, 0], depth(logits))


def test_it_replaces_the_assembler_of_classes_in_the_inferer() -> None:
    logits = torch.randn(3, 9, 8, 7, generator=torch.Generator().manual_seed(1))
    image = meta_tensor(logits)[None]
    assembler = NestedRegions(REGIONS, confidence=["margin"])
    found = SlabInferer([9, 8, 7], assembler=assembler)(image, lambda window: window)
    assert torch.equal(found[0, 0].as_tensor(), depth(logits))
    assert found.shape[1] == 2


@pytest.mark.parametrize(
    "regions", [{}, {"a": [1]} | {"b": [2]}, {"core": [2], "whole": [1, 2]}, {"whole": [1, 2, 3], "core": [3]}]
)
def test_regions_that_are_not_nested_make_no_label_map(regions: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="regions must be nested, the outermost first"):
        NestedRegions(regions)


def test_a_network_with_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="the network has 4 channels, but there are the regions whole, core"):
        NestedRegions(REGIONS).start(torch.zeros(1, 1, 3, 3, 3), classes=4, axis=0)
