"""The gates of the slice mechanisms, read out, against gates that were set by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.phantoms import meta_tensor, noise, orientation_affine, orientations, rotation, write_nifti
from monai.transforms import Compose, Orientationd
from PIL import Image
from torch import nn

from bundle.attention import get_attention_layer
from bundle.explain import GateProfiles, SaveGatesd
from bundle.explain.gates import LevelGates, input_slices, save_gates, slice_blocks
from bundle.grid import ResampleSpacingd
from bundle.io import LoadVolumed
from bundle.networks import AttentionUNet

SLICES = np.array([[0.9, 0.2, 0.4, 0.7], [0.1, 0.1, 0.8, 0.3]])
"""Gates of two channels and four slices, to be set by hand."""

CHANNELS = np.array([0.5, 0.25])
KEYS = np.array([[1, 0, 0, 1], [0, 0, 1, 0]])
"""Slices whose share of the softmax of SLICES is at least a quarter: worked out below, see the first test."""


class Gated(nn.Module):
    """A mechanism between two voxel-wise layers, its gates set by hand: they do not depend on the input."""

    def __init__(self, name: str, slice_dim: int = -1) -> None:
        super().__init__()
        size = [4, 4, 4]
        self.first, self.head = nn.Conv3d(1, 2, 1), nn.Conv3d(2, 3, 1)
        self.gate = get_attention_layer((name, {"slice_dim": slice_dim}), 3, 2, size)
        for parameter in self.gate.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():
            self.gate.slice.bias2.copy_(torch.logit(torch.as_tensor(SLICES)))
            if name != "sa":
                self.gate.channel.fc[2].bias.copy_(torch.logit(torch.as_tensor(CHANNELS)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gate(self.first(x)))


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


def test_slices_of_the_padding_are_left_out() -> None:
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


def prepared(folder: Path, affine: np.ndarray, pixdim: tuple[float, ...] = (1, 1, 1)) -> dict[str, Any]:
    source = write_nifti(folder / "scan.nii.gz", noise((5, 6, 8)), affine)
    steps = [
        LoadVolumed("image"),
        Orientationd("image", axcodes="RAS", labels=None),
        ResampleSpacingd("image", pixdim=pixdim),
    ]
    return Compose(steps)({"image": str(source)})


@pytest.mark.parametrize("code", orientations()[::5])
def test_slices_are_those_of_the_file_in_every_orientation(code: str, tmp_path: Path) -> None:
    """Every voxel of the file lies in the slice of the preprocessed volume that is closest in scanner coordinates."""
    affine = orientation_affine(code, (1.7, 0.8, 1.0))
    image = prepared(tmp_path, affine)["image"]
    world = np.asarray(image.affine)
    for axis in range(3):
        found = input_slices(image, axis)
        assert code[found.axis] in ("RL", "AP", "SI")[axis]
        for number, (near, position) in enumerate(zip(found.nearest, found.position_mm, strict=True)):
            voxel = np.array([0.0, 0, 0, 1])
            voxel[found.axis] = number
            place = (affine @ voxel)[axis]
            assert position == pytest.approx(place, abs=1e-5)
            centers = world[axis, 3] + world[axis, axis] * np.arange(image.shape[1 + axis])
            assert abs(centers[near] - place) == pytest.approx(np.abs(centers - place).min(), abs=1e-5)


def test_positions_of_an_oblique_volume_are_along_its_normal(tmp_path: Path) -> None:
    turn = rotation(20, -10, 15)
    found = input_slices(prepared(tmp_path, turn @ np.diag([1, 1, 3.0, 1]))["image"], 2)
    np.testing.assert_allclose(np.diff(found.position_mm), 3)
    assert found.axis == 2


@pytest.mark.parametrize("name", ["sa", "pam"])
def test_table_record_and_picture_are_by_the_slices_of_the_file(name: str, tmp_path: Path) -> None:
    """A file that runs from superior to inferior in slices of 2 mm: slice 0 is the last one of the volume."""
    network = Gated(name)
    data = prepared(tmp_path, np.diag([1.0, 1, -2, 1]), (1, 1, 2))
    profiles = GateProfiles(network, roi_size=(5, 6, 4), overlap=0)
    with torch.no_grad():
        labels = profiles(data["image"][None], network.eval())
    save = SaveGatesd("pred", profiles=profiles, label_names={"a": 1, "b": 2}, output_dir=tmp_path / "out")
    result = save({**data, "pred": meta_tensor(labels[0])})["result"]
    with open(result["table"], newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    gates = SLICES if name == "sa" else SLICES * CHANNELS[:, None]
    expected = np.concatenate([gates, gates], 1)[:, ::-1]
    keys = np.concatenate([KEYS, KEYS], 1)[:, ::-1]
    assert len(rows) == 2 * 8
    for row in rows:
        channel, number = int(row["channel"]), int(row["slice"])
        assert row["level"] == "gate"
        assert float(row["position_mm"]) == pytest.approx(-2 * number)
        assert float(row["gate"]) == pytest.approx(expected[channel, number], abs=1e-5)
        assert row["key"] == ("" if name == "sa" else str(keys[channel, number]))
    (level,) = json.loads((tmp_path / "out" / "scan_gates.json").read_text())["levels"]
    np.testing.assert_allclose(level["gate_mean"], expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(level["gate_max"], expected.max(0), atol=1e-5)
    if name == "pam":
        np.testing.assert_allclose(level["key_share"], keys.mean(0))
    else:
        assert level["key_share"] is None
    with Image.open(result["picture"]) as picture:
        assert min(picture.size) > 200


def test_the_picture_has_a_panel_a_level(tmp_path: Path) -> None:
    slices = input_slices(prepared(tmp_path, np.eye(4))["image"], 2)
    level = LevelGates("level", 2, 8, np.full((3, 8), 0.5), None)
    heights = []
    for count in (1, 2, 3):
        save_gates([(level, slices)] * count, tmp_path / "g.png", np.ones((5, 6, 8)), {"a": 1}, title="case")
        with Image.open(tmp_path / "g.png") as picture:
            heights.append(picture.size[1])
    assert heights[0] == heights[1] < heights[2]
