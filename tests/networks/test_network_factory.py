"""The registry of networks, and the contract that every one of them fulfils."""

from __future__ import annotations

import inspect

import pytest
from contracts.network import NETWORKS, NetworkContract
from torch import nn

from bundle import networks
from bundle.networks import AttentionUNet, Network, get_network


class TestEveryNetwork(NetworkContract):
    """The contract of ``tests/contracts/network.py``."""


def test_contract_covers_the_whole_registry() -> None:
    assert {case.name for case in NETWORKS} == {name.lower() for name in Network.names}


def test_registry_holds_every_network_of_the_package() -> None:
    exported = [value for name in networks.__all__ if inspect.isclass(value := getattr(networks, name))]
    segmenting = {
        kind
        for kind in exported
        if issubclass(kind, nn.Module)
        and list(inspect.signature(kind).parameters)[:3] == ["spatial_dims", "in_channels", "out_channels"]
    }
    classifying = {networks.ARLNet}
    assert segmenting - classifying == {Network[name] for name in Network.names}


@pytest.mark.parametrize("name", ["unet", "UNet"])
def test_network_is_built_by_name_in_any_case(name: str) -> None:
    network = get_network(name, 3, 1, 2, channels=[4, 8], attention=None)
    assert isinstance(network, AttentionUNet)


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"network 'unett' is unknown; choose one of .*unet, vnet"):
        get_network("unett", 3, 1, 2)


def test_unknown_option_is_refused_with_the_name_of_the_network() -> None:
    with pytest.raises(ValueError, match=r"network 'unet' does not take the options \['depth'\]"):
        get_network("unet", 3, 1, 2, depth=4)
