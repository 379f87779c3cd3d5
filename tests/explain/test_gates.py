"""The gates of the slice mechanisms, against gates that were set by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.explained import CHANNELS, KEYS, SLICES, Gated
from helpers.phantoms import noise
from torch import nn

from bundle.attention import get_attention_layer
from bundle.explain import GateProfiles
from bundle.explain.gates import LevelGates, slice_blocks
from bundle.networks import AttentionUNet


def read(network: nn.Module, size: tuple[int, ...], roi: Any = (4, 4, 4), overlap: float = 0.5) -> list[LevelGates]:
    profiles = GateProfiles(network, roi_size=roi, overlap=overlap)
    with torch.no_grad():
        labels = profiles(torch.as_tensor(noise((1, 1, *size))), network.eval())
    assert labels.shape == (1, 1, *size)
    return profiles.levels


def test_the_key_slices_set_by_hand_have_the_mean_share_of_the_softmax() -> None:
    share = np.exp(SLICES) / np.exp(SLICES).sum(1, keepdims=True)
    np.testing.assert_array_equal(share >= 0.25, KEYS)


@pytest.mark.parametrize("name", ["sa", "csa", "sca", "pam"])
def test_the_gate_is_that_of_the_slice_times_that_of_the_channel(name: str) -> None:
    (level,) = read(Gated(name), (4, 4, 4))
    expected = SLICES if name == "sa" else SLICES * CHANNELS[:, None]
    np.testing.assert_allclose(level.gates, expected, rtol=1e-6)
    assert (level.level, level.axis, level.own_slices) == ("gate", 2, 4)


@pytest.mark.parametrize("name", ["sa", "csa", "sca"])
def test_a_mechanism_without_key_slices_has_none(name: str) -> None:
    assert read(Gated(name), (4, 4, 4))[0].keys is None


def test_the_key_slices_are_those_of_the_slice_gates() -> None:
    np.testing.assert_array_equal(read(Gated("pam"), (4, 4, 4))[0].keys, KEYS)


@pytest.mark.parametrize("slice_dim", [0, 1, 2])
def test_a_slice_has_the_mean_over_the_windows_that_hold_it(slice_dim: int) -> None:
    """Six slices under windows of four, that start at 0 and 2."""
    size = [7, 3, 5]
    size[slice_dim] = 6
    (level,) = read(Gated("pam", slice_dim), tuple(size))
    for values, got in ((SLICES * CHANNELS[:, None], level.gates), (KEYS, level.keys)):
        for channel in range(2):
            first, second = values[channel], values[channel]
            wanted = [first[0], first[1], (first[2] + second[0]) / 2, (first[3] + second[1]) / 2, second[2], second[3]]
            np.testing.assert_allclose(got[channel], wanted, rtol=1e-6)
    assert level.axis == slice_dim


def test_slices_of_the_padding_are_ignored() -> None:
    """Two slices in the middle of a window of four."""
    (level,) = read(Gated("pam"), (2, 4, 2))
    np.testing.assert_allclose(level.gates, (SLICES * CHANNELS[:, None])[:, 1:3], rtol=1e-6)


def test_a_deeper_level_spreads_its_slices_over_those_of_the_volume() -> None:
    torch.manual_seed(0)
    network = AttentionUNet(3, 1, 3, channels=[2, 4], spatial_size=(8, 8, 8))
    with torch.no_grad():
        logits = torch.linspace(-2, 2, 4)
        gate = network.encoders[1][1].slice
        for parameter in gate.parameters():
            nn.init.zeros_(parameter)
        gate.bias2.copy_(logits.expand(4, 4))
    levels = {level.level: level for level in read(network, (8, 8, 8), (8, 8, 8))}
    assert list(levels) == ["encoders.0", "encoders.1", "decoders.0"]
    deep = levels["encoders.1"]
    assert deep.own_slices == 4
    ratio = deep.gates / deep.gates[:, :1]
    wanted = torch.sigmoid(logits).repeat_interleave(2) / torch.sigmoid(logits[0])
    np.testing.assert_allclose(ratio, wanted.expand(4, 8), rtol=1e-5)


def test_a_fused_network_has_the_gates_of_the_plain_one() -> None:
    levels = []
    for fused in (False, True):
        torch.manual_seed(0)
        network = AttentionUNet(3, 1, 3, channels=[2, 4], spatial_size=(8, 8, 8), fused=fused)
        levels.append(read(network, (8, 8, 12), (8, 8, 8)))
    for plain, fused in zip(*levels, strict=True):
        np.testing.assert_allclose(fused.gates, plain.gates, rtol=1e-4)


def test_blocks_of_one_level_keep_their_own_names() -> None:
    network = nn.Sequential(nn.Sequential(get_attention_layer("sa", 3, 1, [4, 4, 4]), nn.Identity()))
    assert list(slice_blocks(network)) == ["0"]
    network[0][1] = get_attention_layer("pam", 3, 1, [4, 4, 4])
    assert list(slice_blocks(network)) == ["0.0", "0.1"]


def test_the_network_is_left_without_hooks() -> None:
    network = Gated("pam")
    read(network, (4, 4, 4))
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("attention", [None, "se"])
def test_a_network_without_slice_gates_is_refused(attention: str | None) -> None:
    network = AttentionUNet(3, 1, 3, channels=[2, 4], attention=attention)
    with pytest.raises(ValueError, match=r"attention must be 'sa', 'csa', 'sca' or 'pam' .* this AttentionUNet has no"):
        GateProfiles(network, roi_size=(8, 8, 8))
