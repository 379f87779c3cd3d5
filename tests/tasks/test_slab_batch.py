"""Inference on the slabs of a volume as a batch."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from bundle.tasks.spine import SlabBatchInferer


@pytest.mark.parametrize("sw_batch_size", [1, 2, 16])
def test_every_slab_gets_the_maps_that_it_gets_alone(sw_batch_size: int) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(1, 3, 3, stride=2)
    slabs = torch.randn(2, 5, 1, 9, 11)
    maps = SlabBatchInferer(sw_batch_size=sw_batch_size)(slabs, network)
    assert maps.shape == (2, 5, 3, 4, 5)
    for volume in range(2):
        for slab in range(5):
            torch.testing.assert_close(maps[volume, slab], network(slabs[volume, slab][None])[0])


def test_the_examples_are_slabs_as_the_network_gets_them() -> None:
    slabs = torch.randn(2, 5, 1, 9, 11)
    examples = SlabBatchInferer().example(MetaTensor(slabs))
    assert not isinstance(examples, MetaTensor)
    assert torch.equal(examples, slabs[0, [2, 0, 4]])
    assert torch.equal(SlabBatchInferer().example(slabs), examples)
    assert torch.equal(SlabBatchInferer().example(slabs[:, :1]), slabs[0, :1])


def test_slabs_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, N, 1, A, S\), got \(1, 2, 8, 8\)"):
        SlabBatchInferer()(torch.zeros(1, 2, 8, 8), nn.Identity())


def test_a_batch_has_at_least_one_slab() -> None:
    with pytest.raises(ValueError, match="1 or more, got 0"):
        SlabBatchInferer(sw_batch_size=0)
