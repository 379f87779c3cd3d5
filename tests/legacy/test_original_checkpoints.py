"""Converted networks compute what the original ones do; how a file is understood: ``test_networks_convert.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.original_volumes import Options, original
from torch import nn

from bundle import networks
from bundle.legacy.convert import convert_checkpoint
from bundle.legacy.original_checkpoints import MODELS

SLICES = 16
SMALL = {"depth": SLICES, "fmaps": 4}
SLICED = ("csSEunet3d", "scSEunet3d", "agscSEunet3d", "agscSEvnet")


def converted(source: nn.Module, folder: Path, **given: Any) -> nn.Module:
    """Save a network of the original, convert the file and return the network that its config and weights give."""
    torch.save(source.state_dict(), folder / "original.pth")
    result = convert_checkpoint(folder / "original.pth", **given)
    arguments = dict(result.network_def)
    kind = arguments.pop("_target_").removeprefix("bundle.networks.")
    network = getattr(networks, kind)(**arguments).to(next(source.parameters()).dtype)
    network.load_state_dict(result.state)
    return network


def volume(source: nn.Module) -> torch.Tensor:
    """Return an input for a network; a V-Net needs a larger one."""
    torch.manual_seed(3)
    first = next(source.parameters())
    size = (SLICES, 32, 32) if hasattr(source, "Bottleneck_layer") else (SLICES, 16, 16)
    return torch.randn(1, first.shape[1], *size, dtype=first.dtype)


@torch.no_grad()
def check(model: str, folder: Path, **options: Any) -> None:
    """Build a model with ``options``, convert its checkpoint with what the keys do not determine, and compare."""
    given = Options(**{**SMALL, **options})
    poolings = {"slice_pooling": given.slice_pooling, "channel_pooling": given.channel_pooling}
    source = original(model, given)
    network = converted(source, folder, model=model, layer_order=given.order, groups=given.groups, **poolings)
    x = volume(source)
    for mode in (True, False) if "b" in given.order else (True,):
        wanted = source.train(mode)(x)
        assert wanted.std() > 0.1
        torch.testing.assert_close(network.train(mode)(x), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_logits_are_those_of_the_original(model: str, tmp_path: Path) -> None:
    check(model, tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("model", ["PEunet3d", "agscSEunet3d", "agscSEvnet"])
def test_logits_agree_to_rounding_in_single_precision(model: str, tmp_path: Path) -> None:
    """Both are as far from the logits in double precision; V-Nets amplify rounding most."""
    source = original(model, Options(**SMALL))
    network = converted(source, tmp_path, model=model)
    x = volume(source)
    wanted = source(x)
    rounding = (source.float()(x.float()) - wanted).abs().max()
    assert rounding < 1e-4
    assert (network.float()(x.float()) - wanted).abs().max() < 4 * rounding


@pytest.mark.parametrize(("model", "in_channels"), [("unet3d", 4), ("unet3d", 3), ("vnet", 2)])
def test_any_channels_of_the_input_that_the_original_takes(model: str, in_channels: int, tmp_path: Path) -> None:
    check(model, tmp_path, in_channels=in_channels, out_channels=5)


@pytest.mark.parametrize("pooling", ["max", "avg_and_max"])
@pytest.mark.parametrize("model", SLICED)
def test_slice_pooling_is_what_the_original_computes(model: str, pooling: str, tmp_path: Path) -> None:
    check(model, tmp_path, slice_pooling=pooling)


@pytest.mark.parametrize("pooling", ["max", "avg_and_max"])
@pytest.mark.parametrize("model", ["cSEunet3d", "cSEvnet", *SLICED])
def test_channel_pooling_is_what_the_original_computes(model: str, pooling: str, tmp_path: Path) -> None:
    check(model, tmp_path, channel_pooling=pooling)


@pytest.mark.parametrize("order", ["cpi", "cip", "cp", "cri", "clb", "cbe", "csi", "cmi", "ceb", "cpb", "crg", "cgp"])
@pytest.mark.parametrize("model", ["unet3d", "vnet"])
def test_every_layer_order_that_begins_with_the_convolution(model: str, order: str, tmp_path: Path) -> None:
    check(model, tmp_path, order=order, **({"fmaps": 16, "groups": 8} if "g" in order else {}))


@pytest.mark.parametrize("order", ["c", "ci", "cg"])
def test_a_u_net_may_have_no_activation(order: str, tmp_path: Path) -> None:
    check("unet3d", tmp_path, order=order)


@pytest.mark.parametrize("groups", [1, 4])
def test_u_net_has_the_groups_that_are_given(groups: int, tmp_path: Path) -> None:
    check("unet3d", tmp_path, order="cgp", fmaps=8, groups=groups)


@pytest.mark.parametrize("model", SLICED)
def test_reductions_above_the_number_of_slices_and_channels(model: str, tmp_path: Path) -> None:
    """The original limits them to one hidden unit, except for progressive attention, whose gate has none left."""
    check(model, tmp_path, slice_reduction=7, channel_reduction=6)


def test_gate_without_hidden_units_is_its_bias_with_every_pooling(tmp_path: Path) -> None:
    check("agscSEunet3d", tmp_path, slice_reduction=16, slice_pooling="avg_and_max")


def test_reference_networks_have_the_published_numbers_of_parameters() -> None:
    def count(model: str, **options: Any) -> int:
        full = Options(fmaps=16, out_channels=4, slice_reduction=16, channel_reduction=8, **options)
        return sum(value.numel() for value in original(model, full).parameters())

    plain = count("unet3d")
    assert round(plain / 1e6, 3) == 1.022
    assert round((count("cSEunet3d") - plain) / 1e3) == 7
    assert round((count("PEunet3d") - plain) / 1e3) == 22
    assert round(count("vnet") / 1e6, 2) == 6.88


def test_slopes_and_transposed_convolutions_are_options_of_the_networks() -> None:
    act = ("prelu", {"num_parameters": "channels"})
    levels = {"convs": (2,)}
    network = networks.AttentionVNet(
        3, 1, 2, channels=(2, 4), levels=levels, act=act, attention=None, upsample_adn=True
    )
    state = network.state_dict()
    slopes = {key: value.numel() for key, value in state.items() if key.endswith("A.weight")}
    assert slopes["encoders.0.act.A.weight"] == slopes["upsample_adns.0.A.weight"] == 2
    assert slopes["downs.0.1.A.weight"] == slopes["bottleneck.0.0.1.A.weight"] == 4
    x = torch.randn(1, 1, 8, 9, 8)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))
