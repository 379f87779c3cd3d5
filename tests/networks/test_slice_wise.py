"""A 2D network on the slices of a volume."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bundle.networks import SliceWise

SMALL = {"channels": [4, 8], "attention": None}


@pytest.mark.parametrize("slice_dim", [0, 1, -1])
def test_every_slice_is_what_the_2d_network_makes_of_it_alone(slice_dim: int) -> None:
    network = SliceWise(3, 2, 3, slice_dim=slice_dim, **SMALL).double().eval()
    x = torch.randn(2, 2, 5, 6, 7, dtype=torch.float64)
    axis = 2 + slice_dim % 3
    slices = [network.network(piece.squeeze(axis)) for piece in x.split(1, axis)]
    torch.testing.assert_close(network(x), torch.stack(slices, axis), rtol=0, atol=1e-12)


def test_network_gets_the_size_of_the_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}

    def probe(name: str, *sizes: int, **options: Any) -> nn.Module:
        received.update(options, name=name, sizes=sizes)
        return nn.Identity()

    monkeypatch.setattr("bundle.networks.slice_wise.get_network", probe)
    SliceWise(3, 1, 2, network="fcn", slice_dim=1, spatial_size=[8, 9, 10])
    assert received == {"name": "fcn", "sizes": (2, 1, 2), "spatial_size": [8, 10]}


@pytest.mark.parametrize("slice_dim", [-4, 3])
def test_axis_that_a_volume_has_not_is_refused(slice_dim: int) -> None:
    with pytest.raises(ValueError, match=rf"slice_dim must be in \[-3, 3\), got {slice_dim}"):
        SliceWise(3, 1, 2, slice_dim=slice_dim, **SMALL)


def test_deep_supervision_of_slices_is_refused() -> None:
    with pytest.raises(ValueError, match="deep_supervision must be false"):
        SliceWise(3, 1, 2, deep_supervision=True, **SMALL)


def test_network_that_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="network 'unett' is unknown"):
        SliceWise(3, 1, 2, network="unett")
