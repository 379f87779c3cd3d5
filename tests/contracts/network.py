"""What every network must do.

A new network is covered by naming it in :data:`NETWORKS`; ``tests/networks/test_network_factory.py`` runs the contract
and proves that the list names the whole registry. A statement about an option holds for every network that has the
option. Networks are exported without attention, which the contract of the mechanisms exports, except for
:data:`EXPORTED_WITH_ATTENTION`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.options import with_options
from torch import nn

from bundle.attention import Attention, is_skip_gate
from bundle.networks import GroupedInstanceNorm, Network, WeightsError, get_network, load_weights

from .attention import VOLUME_ONLY, assert_onnx_equals, assert_state_dict_carries, exports_onnx, scripts

CLASSES = 3
ODD_SIZE = [33, 37, 35]
ATTENTION = {2: ("se", {"reduction": 1}), 3: ("pam", {"channel_reduction": 1})}
EXPORTED_WITH_ATTENTION = ("unet", "hdenseunet")
"""Networks that are exported with attention: in its usual place, and on a batch of slices that it sees as volumes."""


@dataclass(frozen=True)
class Case:
    """A network of the registry.

    Args:
        name: its name.
        small: options that make it small; normalization by instance and no dropout make batch and single runs equal.
        least: shortest axis that it takes.
        dims: numbers of spatial axes that it takes.
        strides: what the outputs of deep supervision divide the size by.
        skips: whether it has skip connections for an attention gate.
        in_plane: whether its attention sees slices as images, so that slice mechanisms have no place.
        grouped: names, as in a config, of options that are part of a group of options.
        refused: options and values that it must refuse.
    """

    name: str
    small: dict[str, Any]
    least: int
    dims: tuple[int, ...] = (2, 3)
    strides: tuple[int, ...] = ()
    skips: bool = False
    in_plane: bool = False
    grouped: dict[str, str] = field(default_factory=dict)
    refused: tuple[tuple[str, Any], ...] = ()

    def takes(self, option: str) -> bool:
        """Return whether the network has an option."""
        names = inspect.signature(Network[self.name]).parameters
        return option in names or option in self.grouped or (self.in_plane and option in ("attention", "spatial_size"))


LEVEL_OPTIONS = {name: f"levels#{name}" for name in ("kernel_size", "dropout", "adn_ordering")}
REFUSED_LEVELS = (
    *(("levels#kernel_size", 2), ("levels#kernel_size", 0), ("levels", {"depth": 3}), ("levels", 3)),
    *(("channels", [8]), ("channels", [8, 0])),
)
SMALL_DENSE = {"blocks": [1, 1], "growth": 4, "stem": 8, "decoder": [8, 8, 8]}
GROUPS = ("group", {"num_groups": 2})
NETWORKS = (
    Case("anatomynet", small={"channels": [8, 8, 8, 8], "norm": "instance"}, least=2, refused=(("blocks", 0),)),
    Case(
        "attention_deeplabv3plus",
        small={
            "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
            "aspp": {"channels": 8, "reduction": 1, "dropout": None},
            "decoder": {"low_channels": 4, "channels": 8, "head_channels": 8},
            **{"norm": GROUPS, "dropout": None},
        },
        least=16,
        refused=(
            *(("output_stride", 32), ("trunk", "vgg"), ("aspp#rates", []), ("aspp#reduction", 0), ("aspp#channels", 0)),
            *((f"decoder#{name}", 0) for name in ("low_channels", "channels", "head_channels")),
            *(("aspp", {"width": 8}), ("decoder", {"separable": True})),
        ),
    ),
    Case(
        "auto_context",
        small={"channels": [4, 8, 8, 8], "modules": 1, "norm": "instance"},
        least=8,
        strides=(1,) * 10,
        refused=(("channels", []), ("modules", 0), ("activation", "tanh")),
    ),
    Case(
        "contextual_attention_unet",
        small={
            "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
            "decoder": {"channels": [8, 8, 8, 8, 8]},
            "transformer": {"patch_size": 8, "channels": [4, 8], "depth": 1, "heads": 2},
            "head": {"context_channels": 4, "boundary_channels": 4},
            "norm": GROUPS,
        },
        least=32,
        refused=(
            *(("trunk", "vgg"), ("decoder#channels", [8] * 4), ("transformer#patch_size", 2)),
            *(("transformer#channels", []), ("transformer#depth", 0), ("transformer#heads", 0)),
            *(("transformer#heads", 3), ("head#context_channels", 0), ("head#boundary_channels", 0)),
            *(("decoder", {"width": 8}), ("transformer", {"mlp": 8}), ("head", {"channels": 8})),
        ),
    ),
    Case(
        "deeplabv3plus",
        small={
            "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
            "aspp": {"channels": 8},
            "decoder": {"low_channels": 4, "channels": 8},
            **{"norm": GROUPS, "dropout": None},
        },
        least=16,
        refused=(
            *(("output_stride", 32), ("trunk", "densenet"), ("trunk", ["resnet"]), ("aspp#rates", [])),
            *(("aspp#channels", 0), ("decoder#low_channels", 0), ("decoder#channels", 0)),
            *(("aspp", {"reduction": 8}), ("decoder", {"head_channels": 8})),
        ),
    ),
    Case(
        "deepmedic",
        small={"channels": [4, 4, 6, 6], "fc_channels": [8, 8], "dropout": 0.0, "norm": "instance"},
        least=1,
        refused=(("scales", []), ("scales", [0]), ("channels", []), ("fc_channels", [0]), ("fc_kernel_size", 2)),
    ),
    Case(
        "denseunet",
        small={"layers": SMALL_DENSE, "norm": "instance", "dropout": 0.0},
        least=8,
        refused=(
            *(("layers#blocks", []), ("layers#growth", 0), ("layers#decoder", [8]), ("layers#compression", 0.0)),
            *(("layers#bottleneck", 0), ("layers", {"depth": 3})),
        ),
    ),
    Case(
        "fcn",
        small={"trunk": ["vgg", {"width": 0.0625}], "fc_channels": 8, "norm": "instance", "dropout": None},
        least=32,
        refused=(("stride", 4), ("trunk", "xception"), ("trunk", ["vgg"]), ("fc_channels", 0)),
    ),
    Case(
        "trunk_unet",
        small={
            "trunk": ["resnet", {"width": 0.0625, "depth": [1, 1, 1, 1]}],
            "channels": [8, 8, 8, 8],
            "norm": GROUPS,
        },
        least=32,
        refused=(("channels", [8] * 3), ("channels", [8, 8, 8, 0]), ("trunk", "densenet"), ("trunk", ["vgg"])),
    ),
    Case(
        "hdenseunet",
        small={"branch_2d": SMALL_DENSE, "branch_3d": SMALL_DENSE, "norm": "instance", "dropout": 0.0},
        least=8,
        dims=(3,),
        refused=(
            *(("branch_2d#blocks", []), ("branch_3d#growth", 0), ("branch_3d#decoder", [8]), ("slice_dim", 3)),
            *(("branch_2d", {"depth": 3}), ("branch_3d", {"depth": 3})),
        ),
    ),
    Case(
        "hourglass",
        small={"width": 8, "hourglass": {"depth": 1}, "norm": GROUPS, "deep_supervision": False},
        least=1,
        strides=(1, 1),
        refused=(
            *(("stacks", 0), ("hourglass#blocks", 0), ("hourglass#depth", 0), ("width", 7)),
            ("hourglass", {"levels": 3}),
        ),
    ),
    Case(
        "shape_unet",
        small={"channels": [8, 8, 16], "shape_channels": 4, "reduction": 1, "norm": "instance"},
        least=1,
        refused=(("channels", [8]), ("convs", 0), ("shape_channels", 0), ("stride", 3), ("reduction", 0)),
    ),
    Case(
        "slice_wise",
        small={"channels": [8, 8, 16, 16]},
        least=8,
        dims=(3,),
        skips=True,
        in_plane=True,
        refused=(("slice_dim", 3), ("deep_supervision", True)),
    ),
    Case(
        "unet",
        small={"channels": [8, 8, 16, 16]},
        least=8,
        strides=(1, 2, 4),
        skips=True,
        grouped=LEVEL_OPTIONS,
        refused=(*REFUSED_LEVELS, ("levels#convs", 0), ("decoder#upsample", "cubic"), ("decoder", {"mode": "linear"})),
    ),
    Case(
        "vnet",
        small={"channels": [4, 4, 8, 8, 16], "levels": {"kernel_size": 3}},
        least=16,
        strides=(1, 2, 4, 8),
        skips=True,
        grouped=LEVEL_OPTIONS,
        refused=(
            *(*REFUSED_LEVELS, ("levels#convs", [1, 2, 3]), ("levels#convs", [1, 2, 3, 0])),
            *(("bottleneck#convs", 0), ("bottleneck", {"kernel_size": 3})),
        ),
    ),
    Case(
        "voxresnet",
        small={"channels": [4, 8, 8, 8], "norm": "instance"},
        least=8,
        strides=(1,) * 5,
        refused=(("channels", []), ("modules", 0), ("context_channels", -1)),
    ),
)

RUNS: list[tuple[Case, int]] = [(case, dims) for case in NETWORKS for dims in case.dims]
REFUSED = [(case, key, value) for case in NETWORKS for key, value in case.refused]


def build(
    run: tuple[Case, int], seed: int = 0, in_channels: int = 1, classes: int = CLASSES, **options: Any
) -> nn.Module:
    """Build the small network of a run with weights of a seed."""
    case, dims = run
    torch.manual_seed(seed)
    if case.takes("attention"):
        options = {"attention": ATTENTION[2 if case.in_plane else dims], "spatial_size": [32] * dims, **options}
    options = {case.grouped.get(name, name): value for name, value in options.items()}
    return get_network(case.name, dims, in_channels, classes, **with_options(case.small, options))


def case_of(name: str) -> Case:
    """Return the case of a network."""
    (case,) = (case for case in NETWORKS if case.name == name)
    return case


@cache
def export(name: str, dims: int) -> tuple[torch.export.ExportedProgram, nn.Module, torch.Tensor]:
    """Export a network, without attention unless it is one of :data:`EXPORTED_WITH_ATTENTION`.

    Returns:
        The exported program, the network and its input.
    """
    run = (case_of(name), dims)
    plain = run[0].takes("attention") and name not in EXPORTED_WITH_ATTENTION
    network, x = build(run, **({"attention": None} if plain else {})).eval(), sample(run, ODD_SIZE)
    return torch.export.export(network, (x,)), network, x


@cache
def count_plain(name: str, dims: int) -> int:
    """Return the number of parameters of the small network of a name without attention."""
    return len(list(build((case_of(name), dims), attention=None).parameters()))


def sample(run: tuple[Case, int], size: list[int] | int = 32, batch: int = 1, in_channels: int = 1) -> torch.Tensor:
    """Return an input, of 32 voxels a side unless said otherwise."""
    torch.manual_seed(7)
    spatial = [size] * run[1] if isinstance(size, int) else size[: run[1]]
    return torch.randn(batch, in_channels, *spatial)


def runs_with(*options: str) -> pytest.MarkDecorator:
    """Parametrize a statement over the networks that have all of the options, in all dimensions that they take."""
    chosen = [run for run in RUNS if all(run[0].takes(option) for option in options)]
    return pytest.mark.parametrize("run", chosen, ids=lambda run: f"{run[0].name}-{run[1]}d")


every_run = runs_with()
every_network = pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)


class NetworkContract:
    """Statements that hold for every network."""

    @every_run
    @pytest.mark.parametrize("size", [32, ODD_SIZE])
    @pytest.mark.parametrize("in_channels", [1, 2, 4])
    def test_logits_have_the_size_of_the_input(
        self, run: tuple[Case, int], size: list[int] | int, in_channels: int
    ) -> None:
        x = sample(run, size, batch=2, in_channels=in_channels)
        y = build(run, in_channels=in_channels)(x)
        assert y.shape == (2, CLASSES, *x.shape[2:])
        assert y.dtype == x.dtype
        assert y.isfinite().all()

    @every_run
    def test_output_is_logits_in_training_and_in_evaluation(self, run: tuple[Case, int]) -> None:
        network, x = build(run), sample(run)
        y = network.train()(x)
        torch.testing.assert_close(network.eval()(x), y)
        assert not torch.allclose(y.sum(1), torch.ones(()))
        assert (y.min() < 0) or (y.max() > 1)

    @runs_with("attention")
    @pytest.mark.parametrize("attention", [None, "se", ("se", {"pooling": "max"})])
    def test_runs_with_and_without_attention_of_any_form(self, run: tuple[Case, int], attention: Any) -> None:
        assert build(run, attention=attention)(sample(run)).isfinite().all()

    @runs_with("attention")
    @pytest.mark.parametrize("name", sorted(name.lower() for name in Attention.names))
    def test_every_mechanism_has_a_place_or_is_refused_in_words(self, run: tuple[Case, int], name: str) -> None:
        case, dims = run
        if is_skip_gate(name) and not case.skips:
            with pytest.raises(ValueError, match="weights a skip connection"):
                build(run, attention=name)
        elif (dims == 2 or case.in_plane) and name in VOLUME_ONLY:
            with pytest.raises(ValueError, match="spatial_dims=3, got 2"):
                build(run, attention=name)
        else:
            network = build(run, attention=name)
            assert network.eval()(sample(run)).isfinite().all()
            assert len(list(network.parameters())) > count_plain(case.name, dims)

    @runs_with("attention")
    def test_attention_only_adds_weights(self, run: tuple[Case, int]) -> None:
        plain, attentive = build(run, attention=None).state_dict(), build(run).state_dict()
        assert plain.keys() < attentive.keys()
        assert all(value.shape == attentive[key].shape for key, value in plain.items())

    @every_run
    def test_batch_of_three_is_three_single_runs(self, run: tuple[Case, int]) -> None:
        network, x = build(run).double(), sample(run, batch=3).double()
        single = torch.cat([network(x[index : index + 1]) for index in range(3)])
        torch.testing.assert_close(network(x), single, rtol=0, atol=1e-11)

    @every_run
    def test_gradients_are_finite_and_reach_input_and_all_parameters(self, run: tuple[Case, int]) -> None:
        options = {"deep_supervision": True} if run[0].strides else {}
        network, x = build(run, **options), sample(run, batch=2).requires_grad_()
        outputs = network(x)
        sum(logits.square().mean() for logits in (outputs if run[0].strides else [outputs])).backward()
        for name, tensor in [("input", x), *network.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.any(), name

    @every_run
    def test_step_of_training_lowers_the_loss(self, run: tuple[Case, int]) -> None:
        network, x = build(run), sample(run, batch=2)
        target = (x[:, 0] > 0).long()
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        losses = []
        for _ in range(2):
            loss = nn.functional.cross_entropy(network(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[1] < losses[0]

    @runs_with("norm")
    def test_published_normalization_trains(self, run: tuple[Case, int]) -> None:
        published = inspect.signature(Network[run[0].name]).parameters["norm"].default
        network = build(run, norm=published)
        network(sample(run, batch=2)).square().mean().backward()
        assert network.eval()(sample(run)).isfinite().all()

    @runs_with("deep_supervision")
    def test_deep_supervision_returns_a_list_in_training_only(self, run: tuple[Case, int]) -> None:
        network, x = build(run, deep_supervision=True), sample(run, ODD_SIZE)
        outputs = network.train()(x)
        sizes = [[size // stride for size in x.shape[2:]] for stride in run[0].strides]
        assert [list(logits.shape) for logits in outputs] == [[1, CLASSES, *size] for size in sizes]
        torch.testing.assert_close(network.eval()(x), outputs[0])

    @scripts
    @every_run
    def test_script_equals_eager(self, run: tuple[Case, int]) -> None:
        network, x = build(run), sample(run, ODD_SIZE)
        scripted = torch.jit.script(network)
        torch.testing.assert_close(scripted(x), network(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scripted.eval()(x), network.eval()(x), rtol=1e-4, atol=1e-5)

    @scripts
    @runs_with("deep_supervision")
    def test_script_of_deep_supervision_equals_eager(self, run: tuple[Case, int]) -> None:
        network, x = build(run, deep_supervision=True), sample(run, ODD_SIZE)
        scripted = torch.jit.script(network)
        torch.testing.assert_close(scripted(x), network(x), rtol=1e-4, atol=1e-5)

    @every_run
    def test_export_equals_eager(self, run: tuple[Case, int]) -> None:
        program, network, x = export(run[0].name, run[1])
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    @exports_onnx
    @every_network
    def test_onnx_equals_eager(self, case: Case, tmp_path: Path) -> None:
        program, network, x = export(case.name, case.dims[-1])
        assert_onnx_equals(program, network, x, tmp_path / "network.onnx", atol=1e-4)

    @every_run
    def test_state_dict_carries_the_network(self, run: tuple[Case, int]) -> None:
        assert_state_dict_carries(build(run, seed=1), build(run, seed=2), sample(run))

    @every_run
    @pytest.mark.parametrize("classes", [2, 6])
    def test_weights_for_other_classes_fit_except_for_the_head(
        self, run: tuple[Case, int], classes: int, tmp_path: Path
    ) -> None:
        options = {"deep_supervision": True} if run[0].strides else {}
        state, network = build(run, seed=1, **options).state_dict(), build(run, seed=2, classes=classes, **options)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        torch.save(state, tmp_path / "model.pt")
        with pytest.raises(WeightsError, match=r"to train for other classes .*, pass --checkpoint_head new"):
            load_weights(network, tmp_path / "model.pt")
        load_weights(network, tmp_path / "model.pt", head="new")
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[key] if state[key].shape == value.shape else before[key])
        assert network.eval()(sample(run)).shape[1] == classes

    @every_run
    @pytest.mark.parametrize("other", [{"in_channels": 2}, {"in_channels": 4, "classes": 5}], ids=str)
    def test_weights_for_other_channels_of_the_image_are_refused(
        self, run: tuple[Case, int], other: dict[str, int], tmp_path: Path
    ) -> None:
        torch.save(build(run).state_dict(), tmp_path / "model.pt")
        with pytest.raises(WeightsError, match=r"is of another network than network_def.*Set attention, network_def"):
            load_weights(build(run, **other), tmp_path / "model.pt", head="new")

    @every_run
    def test_double_precision_is_kept(self, run: tuple[Case, int]) -> None:
        double = build(run).double()(sample(run).double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(build(run)(sample(run)), double.float(), rtol=1e-3, atol=1e-4)

    @every_run
    def test_autocast_runs_and_trains(self, run: tuple[Case, int]) -> None:
        network, x = build(run), sample(run).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = network(x)
        assert ((y.float() - network(x)).abs() < 0.25).float().mean() > 0.999
        y.float().square().mean().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    @runs_with("dropout")
    def test_dropout_acts_in_training_only(self, run: tuple[Case, int]) -> None:
        network, x = build(run, dropout=0.5), sample(run)
        assert not torch.equal(network.train()(x), network(x))
        assert torch.equal(network.eval()(x), network(x))

    @runs_with("norm", "act")
    def test_other_norm_and_activation_can_be_named(self, run: tuple[Case, int]) -> None:
        network = build(run, norm=("group", {"num_groups": 2}), act="elu")
        kinds = {type(module) for module in network.modules()}
        assert {nn.GroupNorm, nn.ELU} <= kinds
        assert not kinds & {GroupedInstanceNorm, nn.BatchNorm2d, nn.BatchNorm3d}
        assert network(sample(run)).isfinite().all()

    @runs_with("adn_ordering")
    def test_order_after_the_convolutions_is_a_choice(self, run: tuple[Case, int]) -> None:
        assert build(run, adn_ordering="NDA", kernel_size=1)(sample(run)).isfinite().all()
        network = build(run, adn_ordering="")
        assert GroupedInstanceNorm not in {type(module) for module in network.modules()}
        assert network(sample(run)).isfinite().all()

    @every_run
    def test_shortest_axis_runs_and_a_shorter_one_is_refused(self, run: tuple[Case, int]) -> None:
        network, least = build(run).eval(), run[0].least
        size = [2 * least] + [least] * 2
        assert network(sample(run, size)).isfinite().all()
        size[1] -= 1
        with pytest.raises(ValueError, match=f"every spatial axis needs at least {least} voxels"):
            network(sample(run, size))

    @pytest.mark.parametrize(("case", "key", "value"), REFUSED)
    def test_bad_option_is_refused_by_its_name(self, case: Case, key: str, value: Any) -> None:
        name = rf"({key}|{key.split('#')[-1]})"
        with pytest.raises(ValueError, match=f"^{name} "):
            build((case, 3), **{key: value})

    @pytest.mark.parametrize(("case", "key", "value"), [row for row in REFUSED if isinstance(row[2], dict)])
    def test_unknown_option_of_a_group_is_refused_with_the_known_ones(self, case: Case, key: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{key} does not have the option '{next(iter(value))}'; its options are"):
            build((case, 3), **{key: value})

    @every_network
    def test_other_numbers_of_axes_are_refused(self, case: Case) -> None:
        for dims in {1, 2, 4} - set(case.dims):
            with pytest.raises(ValueError, match=f"spatial_dims must be .*got {dims}"):
                get_network(case.name, dims, 1, CLASSES, **case.small)

    @every_network
    def test_slice_attention_without_the_size_is_refused(self, case: Case) -> None:
        if case.takes("attention") and not case.in_plane:
            with pytest.raises(ValueError, match="needs spatial_size"):
                build((case, 3), spatial_size=None)
