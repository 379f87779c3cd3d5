"""What every attention block must do.

A new mechanism is covered by naming it in :data:`MECHANISMS`; ``tests/attention/test_attention_factory.py`` runs the
contract and proves that the list names the whole factory. What is cheap is stated of every option; script, export and
the numerical gradient are checked once per mechanism and number of axes, and for options that take another branch of
the forward pass (``branches``). A third option that only combines such branches is left to the cheap statements.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

from bundle.attention import get_attention_layer

SIZES = {2: [9, 11], 3: [7, 9, 11]}
SMALL = [3, 4, 3]
CHANNELS = 16
GATING_CHANNELS = 8


@dataclass(frozen=True)
class Mechanism:
    """A mechanism, the numbers of spatial axes it takes, options worth a run, and options it must refuse.

    ``branches`` are the places in ``options`` of those that take a branch of their own in the forward pass.
    ``highest_gate`` is the limit of the gates, the output for an input of ones; None where the mechanism is no gate.
    ``starts_as_identity``: the block is the identity before training. ``batch_statistics``: it has a batch norm, which
    in training mixes the samples. ``takes_gating``: ``forward(x, gating)``.
    """

    name: str
    dims: tuple[int, ...] = (3,)
    options: tuple[dict[str, Any], ...] = ({},)
    branches: tuple[int, ...] = ()
    refused: dict[str, Any] = field(default_factory=dict)
    highest_gate: float | None = 1.0
    starts_as_identity: bool = False
    batch_statistics: bool = False
    takes_gating: bool = False


SLICE_CHANNEL_OPTIONS = (
    {"slice_reduction": 4, "channel_reduction": 4},
    {"slice_reduction": 4, "slice_dim": 0, "slice_pooling": "max", "channel_pooling": "avg_and_max"},
    {"slice_reduction": 2, "slice_dim": 1, "slice_pooling": "avg_and_max", "channel_pooling": "max"},
)
SLICE_CHANNEL_REFUSED = {
    "slice_dim": 3,
    "slice_reduction": 0,
    "channel_reduction": -1,
    "slice_pooling": "median",
    "channel_pooling": "",
}
MECHANISMS = (
    Mechanism(
        "se",
        dims=(2, 3),
        options=({"reduction": 4}, {"pooling": "max"}, {"pooling": "avg_and_max"}),
        branches=(2,),  # pooling by maximum, and the sum of two logits
        refused={"reduction": 0, "pooling": "median"},
    ),
    Mechanism(
        "sa",
        options=({"reduction": 4}, {"slice_dim": 0, "pooling": "max"}, {"slice_dim": -2, "pooling": "avg_and_max"}),
        branches=(1,),  # pooling by maximum alone
        refused={"slice_dim": -4, "reduction": 0, "pooling": "median"},
    ),
    # of the slice and channel mechanisms: a maximum and a sum of logits for the channels, then for the slices
    Mechanism("csa", options=SLICE_CHANNEL_OPTIONS, branches=(1,), refused=SLICE_CHANNEL_REFUSED),
    Mechanism("sca", options=SLICE_CHANNEL_OPTIONS, branches=(2,), refused=SLICE_CHANNEL_REFUSED),
    Mechanism(
        "pam",
        options=(*SLICE_CHANNEL_OPTIONS, {"channel_reduction": 2, "key_gradient": False}),
        branches=(1, 3),  # the maximum over key slices; detached key slices
        refused=SLICE_CHANNEL_REFUSED,
    ),
    Mechanism(
        "ag",
        dims=(2, 3),
        options=({}, {"reduction": 4, "norm": None}, {"norm": "batch"}),
        refused={"gating_channels": None, "reduction": 0},
        highest_gate=None,
        batch_statistics=True,
        takes_gating=True,
    ),
    Mechanism(
        "pe",
        dims=(2, 3),
        options=({}, {"projection": "mean", "act": "prelu"}, {"reduction": 4, "act": ("leakyrelu", {})}),
        refused={"projection": "max", "reduction": 0},
    ),
    Mechanism(
        "cbam",
        dims=(2, 3),
        options=({"reduction": 4}, {"norm": None, "kernel_size": 3}, {"norm": ("instance", {"affine": True})}),
        branches=(1,),  # a bias after the convolution plane by plane
        refused={"reduction": 0, "kernel_size": 2},
        batch_statistics=True,
    ),
    Mechanism(
        "scse",
        dims=(2, 3),
        options=({}, {"reduction": 4, "fusion": "add"}),
        branches=(1,),  # the sum in place of the maximum
        refused={"reduction": 0, "fusion": "multiply"},
        highest_gate=2.0,
    ),
    Mechanism(
        "split",
        dims=(2, 3),
        options=({}, {"radix": 1, "cardinality": 2, "norm": None}, {"cardinality": 2, "norm": "instance"}),
        branches=(1,),  # a sigmoid in place of the softmax
        refused={"radix": 3, "cardinality": 0, "reduction": 0},
        highest_gate=None,
        batch_statistics=True,
    ),
    Mechanism(
        "dual",
        dims=(2, 3),
        options=({}, {"position": "plane", "reduction": 1}, {"position": "plane", "slice_dim": 0}),
        branches=(1,),  # positions of a plane, of several axes
        refused={"position": "voxels", "slice_dim": 3, "reduction": 0, "energy": "max"},
        highest_gate=None,
        starts_as_identity=True,
    ),
    Mechanism(
        "stn",
        dims=(2, 3),
        options=({}, {"reduction": 4, "pool_size": 2, "padding_mode": "border"}),
        refused={"reduction": 0, "pool_size": 0, "padding_mode": "wrap"},
        highest_gate=None,
        starts_as_identity=True,
    ),
    Mechanism(
        "lka",
        dims=(2, 3),
        options=({}, {"local_kernel": 3, "kernels": [3, 5], "dilations": [1, 2]}),
        refused={"local_kernel": 2, "kernels": [3, 4, 7], "dilations": [1, 2]},
        highest_gate=None,
    ),
)

BY_NAME = {m.name: m for m in MECHANISMS}
Case = tuple[str, int, dict[str, Any]]
CASES: list[Case] = [(m.name, dims, options) for m in MECHANISMS for dims in m.dims for options in m.options]
TRACED_CASES: list[Case] = [
    (m.name, dims, m.options[place]) for m in MECHANISMS for dims in m.dims for place in (0, *m.branches)
]
FIRST_CASES: list[Case] = [(m.name, m.dims[-1], m.options[0]) for m in MECHANISMS]
GATES = [case for case in CASES if BY_NAME[case[0]].highest_gate is not None]
STARTS_AS_IDENTITY = [case for case in CASES if BY_NAME[case[0]].starts_as_identity]
VOLUME_ONLY = [m.name for m in MECHANISMS if m.dims == (3,)]
REFUSED = [(m.name, m.dims[-1], key, value) for m in MECHANISMS for key, value in m.refused.items()]
Inputs = tuple[torch.Tensor, ...]


def construct(case: Case, seed: int = 0, channels: int = CHANNELS, size: list[int] | None = None) -> nn.Module:
    """Build the block of a case as it is before training."""
    name, dims, options = case
    if BY_NAME[name].takes_gating:
        options = {"gating_channels": GATING_CHANNELS, **options}
    torch.manual_seed(seed)
    return get_attention_layer((name, options), dims, channels, size or SIZES[dims])


def build(case: Case, seed: int = 0, channels: int = CHANNELS, size: list[int] | None = None) -> nn.Module:
    """Build the block of a case with weights of a seed, and running statistics as training leaves them.

    The parameters of a block that starts as the identity are moved away from there.
    """
    block = construct(case, seed, channels, size)
    with torch.no_grad():
        for buffer in block.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
        for parameter in block.parameters() if BY_NAME[case[0]].starts_as_identity else ():
            parameter.add_(torch.randn_like(parameter), alpha=0.2 * parameter[0].numel() ** -0.5)
    return block


def sample(
    case: Case, batch: int = 1, dtype: torch.dtype = torch.float32, size: list[int] | None = None, channels: int = 0
) -> Inputs:
    """Return the inputs of the block of a case, of the size that it was made for or another."""
    size = size or SIZES[case[1]]
    torch.manual_seed(7)
    x = torch.randn(batch, channels or CHANNELS, *size, dtype=dtype)
    if not BY_NAME[case[0]].takes_gating:
        return (x,)
    return x, torch.randn(batch, GATING_CHANNELS, *(side // 2 for side in size), dtype=dtype)


def describe(case: Case) -> str:
    """Name a case in the test report."""
    name, dims, options = case
    return "-".join([f"{name}{dims}d", *(f"{key}={value}" for key, value in options.items())])


scripts = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
exports_onnx = pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
every_case = pytest.mark.parametrize("case", CASES, ids=describe)
every_traced_case = pytest.mark.parametrize("case", TRACED_CASES, ids=describe)
every_mechanism = pytest.mark.parametrize("case", FIRST_CASES, ids=describe)


class AttentionContract:
    """Statements that hold for every attention block."""

    @every_case
    def test_output_has_the_shape_and_type_of_the_input(self, case: Case) -> None:
        inputs = sample(case, batch=2)
        y = build(case)(*inputs)
        assert y.shape == inputs[0].shape
        assert y.dtype == inputs[0].dtype
        assert y.isfinite().all()

    @pytest.mark.parametrize("case", GATES, ids=describe)
    def test_gates_are_between_0_and_their_limit(self, case: Case) -> None:
        gates = build(case)(*(torch.ones_like(tensor) for tensor in sample(case)))
        assert (gates > 0).all()
        assert (gates < BY_NAME[case[0]].highest_gate).all()

    @pytest.mark.parametrize("case", STARTS_AS_IDENTITY, ids=describe)
    def test_block_starts_as_the_identity(self, case: Case) -> None:
        inputs = sample(case, batch=2, dtype=torch.float64)
        torch.testing.assert_close(construct(case).double()(*inputs), inputs[0], rtol=0, atol=1e-12)
        assert not torch.allclose(build(case).double()(*inputs), inputs[0], rtol=0, atol=1e-3)

    @every_case
    def test_batch_of_three_is_three_single_runs(self, case: Case) -> None:
        block, inputs = build(case).double(), sample(case, batch=3, dtype=torch.float64)
        block.train(not BY_NAME[case[0]].batch_statistics)
        single = torch.cat([block(*(tensor[index : index + 1] for tensor in inputs)) for index in range(3)])
        torch.testing.assert_close(block(*inputs), single, rtol=0, atol=1e-12)

    @every_case
    @pytest.mark.parametrize("change", [-4, -1, 3, 20])
    def test_any_size_at_run_time(self, case: Case, change: int) -> None:
        inputs = sample(case, size=[size + change for size in SIZES[case[1]]])
        y = build(case)(*inputs)
        assert y.shape == inputs[0].shape
        assert y.isfinite().all()

    @every_case
    def test_gradients_are_finite_and_reach_input_and_all_parameters(self, case: Case) -> None:
        block, inputs = build(case), [tensor.requires_grad_() for tensor in sample(case, batch=2)]
        block(*inputs).square().mean().backward()
        for name, tensor in [*((f"input {index}", x) for index, x in enumerate(inputs)), *block.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.any(), name

    @every_traced_case
    def test_gradient_is_the_slope_of_the_output(self, case: Case) -> None:
        if case[2].get("key_gradient") is False:
            pytest.skip("the gradient that this option leaves out is part of the slope")
        size = SMALL[: case[1]]
        block = build(case, channels=4, size=size).double()
        inputs = sample(case, batch=2, dtype=torch.float64, size=size, channels=4)
        assert torch.autograd.gradcheck(block, [tensor.requires_grad_() for tensor in inputs])

    @scripts
    @every_traced_case
    def test_script_equals_eager(self, case: Case) -> None:
        block, inputs = build(case), sample(case, batch=2)
        scripted = torch.jit.script(block)
        torch.testing.assert_close(scripted(*inputs), block(*inputs))
        deeper = [torch.cat([tensor, tensor], dim=2) for tensor in inputs]
        torch.testing.assert_close(scripted(*deeper), block(*deeper))

    @every_traced_case
    def test_export_equals_eager(self, case: Case) -> None:
        block, inputs = build(case).eval(), sample(case, batch=2)
        exported = torch.export.export(block, inputs).module()
        torch.testing.assert_close(exported(*inputs), block(*inputs))

    @pytest.mark.slow
    @exports_onnx
    @every_mechanism
    def test_onnx_equals_eager(self, case: Case, tmp_path: Path) -> None:
        block, inputs = build(case).eval(), sample(case, batch=2)
        assert_onnx_equals(torch.export.export(block, inputs), block, inputs, tmp_path / "block.onnx")

    @every_case
    def test_state_dict_carries_the_block(self, case: Case) -> None:
        assert_state_dict_carries(build(case, seed=1).eval(), build(case, seed=2).eval(), sample(case))

    @every_case
    def test_double_precision_is_kept(self, case: Case) -> None:
        block, inputs = build(case), sample(case)
        double = build(case).double()(*(tensor.double() for tensor in inputs))
        assert double.dtype == torch.float64
        torch.testing.assert_close(block(*inputs), double.float())

    @every_case
    def test_bfloat16_weights_run(self, case: Case) -> None:
        block, inputs = build(case), sample(case, batch=2)
        half = build(case).bfloat16()(*(tensor.bfloat16() for tensor in inputs))
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), block(*inputs), rtol=0.1, atol=0.05)

    @every_case
    def test_autocast_keeps_the_type_of_the_map_and_trains(self, case: Case) -> None:
        block, inputs = build(case), [tensor.requires_grad_() for tensor in sample(case, batch=2)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = block(*inputs)
            half = block(*(tensor.bfloat16() for tensor in inputs))
        assert y.dtype == torch.float32
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(y, block(*inputs), rtol=0.1, atol=0.05)
        y.square().mean().backward()
        for tensor in inputs:
            assert tensor.grad is not None
            assert tensor.grad.isfinite().all()

    @pytest.mark.parametrize(("name", "dims", "key", "value"), REFUSED)
    def test_bad_option_is_refused_by_its_name(self, name: str, dims: int, key: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{key} must"):
            construct((name, dims, {key: value}))

    @pytest.mark.parametrize("name", VOLUME_ONLY)
    def test_slice_mechanism_refuses_images(self, name: str) -> None:
        with pytest.raises(ValueError, match="spatial_dims=3, got 2"):
            get_attention_layer(name, 2, CHANNELS, SIZES[2])

    @pytest.mark.parametrize("name", VOLUME_ONLY)
    @pytest.mark.parametrize("size", [None, [8, 8], [8, 0, 8]])
    def test_slice_mechanism_needs_the_size(self, name: str, size: list[int] | None) -> None:
        with pytest.raises(ValueError, match="needs spatial_size"):
            get_attention_layer(name, 3, CHANNELS, size)


def assert_state_dict_carries(source: nn.Module, target: nn.Module, x: torch.Tensor | Inputs) -> None:
    """Assert that a saved state dict makes ``target`` compute what ``source`` does, and that it did not before."""
    inputs = x if isinstance(x, tuple) else (x,)
    assert not torch.equal(source(*inputs), target(*inputs))
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    target.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(source(*inputs), target(*inputs))


def assert_onnx_equals(
    program: torch.export.ExportedProgram, module: nn.Module, x: torch.Tensor | Inputs, file: Path, atol: float = 1e-5
) -> None:
    """Write the exported program of a module as ONNX, run the file and compare with the module."""
    inputs = x if isinstance(x, tuple) else (x,)
    torch.onnx.export(program, inputs, str(file), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = {slot.name: tensor.numpy() for slot, tensor in zip(session.get_inputs(), inputs, strict=True)}
    (got,) = session.run(None, feed)
    torch.testing.assert_close(torch.from_numpy(got), module(*inputs).detach(), rtol=1e-4, atol=atol)
