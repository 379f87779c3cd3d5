"""What every network must do.

A new network is covered by naming it in :data:`NETWORKS`; ``tests/test_networks_blocks.py`` runs the contract and
proves that the list names every network of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bundle import networks

from .attention import assert_onnx_equals, assert_state_dict_carries, exports_onnx, scripts

CLASSES = 3
ODD_SIZE = [33, 37, 35]
ATTENTION = {2: ("se", {"reduction": 1}), 3: ("pam", {"channel_reduction": 1})}


@dataclass(frozen=True)
class Network:
    """A network: the options that make it small, what its decoder halves the size by, and options it must refuse."""

    name: str
    small: dict[str, Any]
    strides: tuple[int, ...]
    refused: tuple[tuple[str, Any], ...]


REFUSED_ANYWHERE = (("kernel_size", 2), ("kernel_size", 0), ("channels", [8]), ("channels", [8, 0]))
NETWORKS = (
    Network(
        "AttentionUNet",
        small={"channels": [8, 8, 16, 16]},
        strides=(1, 2, 4),
        refused=(*REFUSED_ANYWHERE, ("convs", 0), ("upsample", "cubic")),
    ),
    Network(
        "AttentionVNet",
        small={"channels": [4, 4, 8, 8, 16], "kernel_size": 3},
        strides=(1, 2, 4, 8),
        refused=(*REFUSED_ANYWHERE, ("convs", [1, 2, 3]), ("convs", [1, 2, 3, 0]), ("bottleneck_convs", 0)),
    ),
)

Case = tuple[Network, int]
CASES: list[Case] = [(network, dims) for network in NETWORKS for dims in (2, 3)]
REFUSED = [(network, key, value) for network in NETWORKS for key, value in network.refused]


def build(case: Case, seed: int = 0, in_channels: int = 1, **options: Any) -> nn.Module:
    """Build the small network of a case with weights of its own seed."""
    network, dims = case
    torch.manual_seed(seed)
    attention = ATTENTION.get(dims, "se")
    options = {**network.small, "attention": attention, "spatial_size": [32] * dims, **options}
    return getattr(networks, network.name)(dims, in_channels, CLASSES, **options)


def sample(case: Case, size: list[int] | int = 32, batch: int = 1, in_channels: int = 1) -> torch.Tensor:
    """Return an input, of 32 voxels a side unless said otherwise."""
    torch.manual_seed(7)
    spatial = [size] * case[1] if isinstance(size, int) else size[: case[1]]
    return torch.randn(batch, in_channels, *spatial)


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].name}-{case[1]}d")


class NetworkContract:
    """Statements that hold for every network."""

    @every_case
    @pytest.mark.parametrize("size", [32, ODD_SIZE])
    @pytest.mark.parametrize("in_channels", [1, 2, 4])
    def test_logits_have_the_size_of_the_input(self, case: Case, size: list[int] | int, in_channels: int) -> None:
        x = sample(case, size, batch=2, in_channels=in_channels)
        y = build(case, in_channels=in_channels)(x)
        assert y.shape == (2, CLASSES, *x.shape[2:])
        assert y.dtype == x.dtype
        assert y.isfinite().all()

    @every_case
    def test_output_is_logits_in_training_and_in_evaluation(self, case: Case) -> None:
        network, x = build(case), sample(case)
        y = network.train()(x)
        assert torch.equal(network.eval()(x), y)
        assert (y.min() < 0) or (y.max() > 1)

    @every_case
    @pytest.mark.parametrize("attention", [None, "se", ("se", {"pooling": "max"})])
    def test_runs_with_and_without_attention_of_any_form(self, case: Case, attention: Any) -> None:
        assert build(case, attention=attention)(sample(case)).isfinite().all()

    @every_case
    def test_attention_only_adds_weights(self, case: Case) -> None:
        plain, attentive = build(case, attention=None).state_dict(), build(case).state_dict()
        assert plain.keys() < attentive.keys()
        assert all(value.shape == attentive[key].shape for key, value in plain.items())

    @every_case
    def test_batch_of_three_is_three_single_runs(self, case: Case) -> None:
        network, x = build(case).double(), sample(case, batch=3).double()
        single = torch.cat([network(x[index : index + 1]) for index in range(3)])
        torch.testing.assert_close(network(x), single, rtol=0, atol=1e-11)

    @every_case
    def test_gradients_are_finite_and_reach_input_and_all_parameters(self, case: Case) -> None:
        network, x = build(case, deep_supervision=True), sample(case, batch=2).requires_grad_()
        sum(logits.square().mean() for logits in network(x)).backward()
        for name, tensor in [("input", x), *network.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.any(), name

    @every_case
    def test_deep_supervision_returns_a_list_in_training_only(self, case: Case) -> None:
        network, x = build(case, deep_supervision=True), sample(case, ODD_SIZE)
        outputs = network.train()(x)
        sizes = [[size // stride for size in x.shape[2:]] for stride in case[0].strides]
        assert [list(logits.shape) for logits in outputs] == [[1, CLASSES, *size] for size in sizes]
        assert torch.equal(network.eval()(x), outputs[0])

    @scripts
    @every_case
    @pytest.mark.parametrize("deep_supervision", [False, True])
    def test_script_equals_eager(self, case: Case, deep_supervision: bool) -> None:
        network = build(case, deep_supervision=deep_supervision)
        scripted = torch.jit.script(network)
        x = sample(case, ODD_SIZE)
        torch.testing.assert_close(scripted(x), network(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scripted.eval()(x), network.eval()(x), rtol=1e-4, atol=1e-5)

    @every_case
    def test_export_equals_eager(self, case: Case) -> None:
        network, x = build(case).eval(), sample(case, ODD_SIZE)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)

    @exports_onnx
    @pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
    def test_onnx_equals_eager(self, network: Network, tmp_path: Path) -> None:
        case = (network, 3)
        assert_onnx_equals(build(case).eval(), sample(case, ODD_SIZE), tmp_path / "network.onnx")

    @every_case
    def test_state_dict_carries_the_network(self, case: Case) -> None:
        assert_state_dict_carries(build(case, seed=1), build(case, seed=2), sample(case))

    @every_case
    def test_double_precision_is_kept(self, case: Case) -> None:
        double = build(case).double()(sample(case).double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(build(case)(sample(case)), double.float(), rtol=1e-3, atol=1e-4)

    @every_case
    def test_autocast_runs_and_trains(self, case: Case) -> None:
        network, x = build(case), sample(case).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = network(x)
        torch.testing.assert_close(y.float(), network(x), rtol=0, atol=0.25)
        y.float().square().mean().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    @every_case
    def test_dropout_acts_in_training_only(self, case: Case) -> None:
        network, x = build(case, dropout=0.5), sample(case)
        assert not torch.equal(network.train()(x), network(x))
        assert torch.equal(network.eval()(x), network(x))

    @every_case
    def test_other_norm_and_activation_can_be_named(self, case: Case) -> None:
        network = build(case, norm=("group", {"num_groups": 2}), act="relu", adn_ordering="NDA", kernel_size=1)
        kinds = {type(module) for module in network.modules()}
        assert nn.GroupNorm in kinds
        assert nn.ReLU in kinds
        assert not kinds & {networks.GroupedInstanceNorm, nn.PReLU}
        assert network(sample(case)).isfinite().all()

    @every_case
    def test_convolution_alone_is_a_choice(self, case: Case) -> None:
        network = build(case, adn_ordering="")
        assert networks.GroupedInstanceNorm not in {type(module) for module in network.modules()}
        assert network(sample(case)).isfinite().all()

    @every_case
    def test_axis_may_shrink_to_one_voxel_and_a_shorter_one_is_refused(self, case: Case) -> None:
        network, least = build(case).eval(), 2 * case[0].strides[-1]
        size = [2 * least] + [least] * 2
        assert network(sample(case, size)).isfinite().all()
        size[1] -= 1
        with pytest.raises(ValueError, match=f"every spatial axis needs at least {least} voxels"):
            network(sample(case, size))

    @pytest.mark.parametrize(("network", "key", "value"), REFUSED)
    def test_bad_option_is_refused_by_its_name(self, network: Network, key: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{key} "):
            build((network, 3), **{key: value})

    @pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
    def test_only_images_and_volumes_are_taken(self, network: Network) -> None:
        with pytest.raises(ValueError, match="spatial_dims must be 2 or 3, got 1"):
            build((network, 1))

    @pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
    def test_slice_attention_without_the_size_is_refused(self, network: Network) -> None:
        with pytest.raises(ValueError, match="needs spatial_size"):
            build((network, 3), spatial_size=None)
