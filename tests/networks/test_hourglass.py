"""Stacked hourglass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.nn import functional

from bundle.networks import StackedHourglass, fold_input_channels
from bundle.networks.hourglass import Hourglass

SMALL: dict[str, Any] = {"width": 8, "hourglass": {"depth": 2}}
State = Mapping[str, torch.Tensor]


def build(seed: int = 0, in_channels: int = 1, spatial_dims: int = 2, **options: Any) -> StackedHourglass:
    """Build a small network with running statistics as training leaves them."""
    torch.manual_seed(seed)
    network = StackedHourglass(spatial_dims, in_channels, 3, **{**SMALL, **options})
    with torch.no_grad():
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    return network


def image(*size: int, channels: int = 1, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(3))


class Literal:
    """The network of two stacks, spelled out from its definition with the weights of a state dict; sides are even."""

    def __init__(self, state: State) -> None:
        self.state = state

    def conv(self, name: str, x: torch.Tensor, **options: Any) -> torch.Tensor:
        return functional.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def norm_relu(self, name: str, x: torch.Tensor) -> torch.Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.N.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (variance + 1e-5).sqrt() * weight + bias).clamp(min=0)

    def residual(self, name: str, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(f"{name}.convs.1", self.norm_relu(f"{name}.convs.0", x))
        y = self.conv(f"{name}.convs.3", self.norm_relu(f"{name}.convs.2", y), padding=1)
        y = self.conv(f"{name}.convs.5", self.norm_relu(f"{name}.convs.4", y))
        return y + (self.conv(f"{name}.shortcut", x) if f"{name}.shortcut.weight" in self.state else x)

    def halve(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        return x.reshape(*x.shape[:2], rows, 2, columns, 2).amax((3, 5))

    def hourglass(self, name: str, x: torch.Tensor, depth: int) -> torch.Tensor:
        low = self.residual(f"{name}.down.0", self.halve(x))
        inner = f"{name}.inner"
        low = self.hourglass(inner, low, depth - 1) if depth > 1 else self.residual(f"{inner}.0", low)
        low = self.residual(f"{name}.up.0", low)
        return self.residual(f"{name}.side.0", x) + low.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def stage(self, name: str, x: torch.Tensor, depth: int) -> torch.Tensor:
        y = self.residual(f"{name}.1.0", self.hourglass(f"{name}.0", x, depth))
        return self.norm_relu(f"{name}.4", self.conv(f"{name}.3", y))

    def gate(self, levels: list[torch.Tensor]) -> torch.Tensor:
        z = torch.cat(levels, 1)
        for layer in (0, 2, 4):
            z = self.norm_relu(f"gate.{layer + 1}", self.conv(f"gate.{layer}", z))
        return 1 / (1 + torch.exp(-self.conv("gate.6", z)))

    def run(self, x: torch.Tensor, depth: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        x = self.norm_relu("stem.1", self.conv("stem.0", x, stride=2, padding=3))
        x = self.halve(self.residual("stem.2", x))
        x = self.residual("stem.5", self.residual("stem.4", x))
        first = self.stage("stages.0", x, depth)
        maps = self.conv("heads.0", first)
        x = x + self.conv("feedbacks.0.features", first) + self.conv("feedbacks.0.maps", maps)
        last = self.stage("last_stage", x, depth)
        gate = self.gate([first, last])
        return [self.conv("last_head", last * gate), maps], gate


def test_maps_and_gate_are_those_of_the_definition() -> None:
    network, x = build(upsample=False).double().eval(), image(32, 48, batch=2).double()
    (expected, _), gate = Literal(network.state_dict()).run(x, depth=2)
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-10)
    enlarged = functional.interpolate(gate, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(network.attention_map(x), enlarged, rtol=0, atol=1e-12)


def test_every_stack_is_supervised_in_training_the_last_one_first() -> None:
    network, x = build(upsample=False, norm=("group", {"num_groups": 1}), attention=False), image(32, 32)
    outputs = network.train()(x)
    maps, levels = network.run_stacks(x)
    assert len(outputs) == 2
    torch.testing.assert_close(outputs[1], maps[0])
    torch.testing.assert_close(outputs[0], network.last_head(levels[1]))
    torch.testing.assert_close(network.eval()(x), outputs[0])


@pytest.mark.parametrize(
    ("stacks", "attention", "millions"),
    [(1, False, 3.586), (2, False, 6.727), (4, False, 13.010), (2, True, 6.795), (4, True, 13.143)],
)
def test_published_network_has_the_published_number_of_parameters(
    stacks: int, attention: bool, millions: float
) -> None:
    with torch.device("meta"):
        network = StackedHourglass(2, 3, 11, stacks=stacks, attention=attention)
    assert round(sum(value.numel() for value in network.parameters()) / 1e6, 3) == millions


def test_published_gate_of_two_stacks_has_68024_parameters() -> None:
    with torch.device("meta"):
        gate = StackedHourglass(2, 3, 11).gate
    assert sum(value.numel() for value in gate.parameters()) == 68024


def test_hca_net_has_this_many_parameters_with_its_attention() -> None:
    with torch.device("meta"):
        network = StackedHourglass(2, 3, 11, width=64, attention="lka")
    painted_joints, gates_of_maps = 11 * 128 * 49 + 128, 2 * (11 * (25 + 1) + 11 * (49 + 1) + 11 * 11 + 11)
    parameters = sum(value.numel() for value in network.parameters())
    assert parameters == 1_962_854 - painted_joints - gates_of_maps


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (1, 5), (100, 75)])
def test_quarter_maps_have_a_cell_for_every_four_pixels_begun(size: tuple[int, int]) -> None:
    network = build(upsample=False).eval()
    x = image(*size, batch=2)
    assert network(x).shape == (2, 3, -(-size[0] // 4), -(-size[1] // 4))
    assert build().eval()(x).shape == (2, 3, *size)


def test_full_maps_are_the_quarter_maps_enlarged_linearly() -> None:
    x = image(32, 32)
    full, quarter = build().eval()(x), build(upsample=False).eval()(x)
    expected = functional.interpolate(quarter, size=[32, 32], mode="bilinear", align_corners=False)
    torch.testing.assert_close(full, expected)


def test_padding_is_that_of_an_image_with_zeros_after_it() -> None:
    network, x = build().eval(), image(40, 30)
    padded = functional.pad(x, [0, 2, 0, 8])
    torch.testing.assert_close(network(x), network(padded)[..., :40, :30])
    torch.testing.assert_close(network.attention_map(x), network.attention_map(padded)[..., :40, :30])


def test_attention_map_is_between_0_and_1_on_the_grid_of_the_image() -> None:
    attention = build().eval().attention_map(image(50, 70, batch=2))
    assert attention.shape == (2, 1, 50, 70)
    assert (attention > 0).all()
    assert (attention < 1).all()


@pytest.mark.parametrize("attention", [False, None, "lka"])
def test_network_without_the_gate_has_no_attention_map(attention: Any) -> None:
    with pytest.raises(ValueError, match="no gate over its levels; build it with attention=True"):
        build(attention=attention).attention_map(image(32, 32))


@pytest.mark.parametrize(("text", "gated"), [("true", True), ("False", False)])
def test_gate_is_switched_by_the_text_of_a_command_line_too(text: str, gated: bool) -> None:
    assert (build(attention=text).gate is not None) == gated


def test_three_equal_channels_fold_into_one() -> None:
    network, folded = build(in_channels=3).eval(), build(seed=1).eval()
    folded.load_state_dict(fold_input_channels(network.state_dict()))
    x = image(32, 48, batch=2)
    torch.testing.assert_close(folded(x), network(x.repeat(1, 3, 1, 1)), rtol=0, atol=1e-6)


def test_folding_leaves_the_other_weights_and_the_source_alone() -> None:
    state = build(in_channels=3).state_dict()
    folded = fold_input_channels(state, "stem.0.weight")
    assert state["stem.0.weight"].shape[1] == 3
    assert all(folded[key] is value for key, value in state.items() if key != "stem.0.weight")


def test_folding_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"key 'conv1\.weight' is not in the state dict, which holds stem\.0\.weight"):
        fold_input_channels(build().state_dict(), "conv1.weight")


@pytest.mark.parametrize("in_channels", [1, 3])
def test_channels_last_in_memory_stay_so_and_give_the_same_numbers(in_channels: int) -> None:
    network, x = build(in_channels=in_channels, upsample=False).eval(), image(64, 32, channels=in_channels)
    expected = network(x)
    network.to(memory_format=torch.channels_last)
    layouts = []
    for stage in network.modules():
        if isinstance(stage, Hourglass):
            stage.register_forward_hook(
                lambda _, __, y: layouts.append(y.is_contiguous(memory_format=torch.channels_last))
            )
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert layouts
    assert all(layouts)


def test_volumes_have_heat_maps_as_well() -> None:
    network = build(spatial_dims=3, attention=("pam", {"channel_reduction": 2}), spatial_size=[16, 18, 16]).eval()
    assert network(image(16, 18, 16)).shape == (1, 3, 16, 18, 16)


def test_every_place_of_an_hourglass_has_the_residual_blocks_that_are_asked_for() -> None:
    options = {"act": "relu", "norm": "batch"}
    counts = [len(list(Hourglass(2, 4, 2, blocks, **options).modules())) for blocks in (1, 2, 3)]
    assert counts[2] - counts[1] == counts[1] - counts[0] > 0


def test_bfloat16_autocast_is_near_single_precision() -> None:
    network, x = build(width=32).eval(), image(64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(x)
    assert half.isfinite().all()
    assert (half.float() - network(x)).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("stacks", 0, "stacks must be at least 1, got 0"),
        ("hourglass", {"blocks": 0}, "^hourglass#blocks must be at least 1, got 0"),
        ("hourglass", {"depth": 0}, "^hourglass#depth must be at least 1, got 0"),
        ("hourglass", {"levels": 3}, "^hourglass does not have the option 'levels'; its options are depth, blocks"),
        ("width", 5, "width must be even and at least 2, got 5"),
        ("width", 0, "width must be even and at least 2, got 0"),
        ("spatial_dims", 1, "spatial_dims must be 2 or 3, got 1"),
        ("attention", "lkaa", "attention 'lkaa' is unknown"),
    ],
)
def test_bad_option_is_refused_by_its_name(option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**{option: value})
