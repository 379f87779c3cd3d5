"""What every attention block must do.

A new mechanism is covered by naming it in :data:`MECHANISMS`; ``tests/test_attention_factory.py`` runs the contract and
proves that the list names the whole factory.
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
CHANNELS = 16


@dataclass(frozen=True)
class Mechanism:
    """A mechanism, the numbers of spatial axes it takes, options worth a run, and options it must refuse."""

    name: str
    dims: tuple[int, ...] = (3,)
    options: tuple[dict[str, Any], ...] = ({},)
    refused: dict[str, Any] = field(default_factory=dict)


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
        refused={"reduction": 0, "pooling": "median"},
    ),
    Mechanism(
        "sa",
        options=({"reduction": 4}, {"slice_dim": 0, "pooling": "max"}, {"slice_dim": -2, "pooling": "avg_and_max"}),
        refused={"slice_dim": -4, "reduction": 0, "pooling": "median"},
    ),
    Mechanism("csa", options=SLICE_CHANNEL_OPTIONS, refused=SLICE_CHANNEL_REFUSED),
    Mechanism("sca", options=SLICE_CHANNEL_OPTIONS, refused=SLICE_CHANNEL_REFUSED),
    Mechanism(
        "pam",
        options=(*SLICE_CHANNEL_OPTIONS, {"channel_reduction": 2, "key_gradient": False}),
        refused=SLICE_CHANNEL_REFUSED,
    ),
)

Case = tuple[str, int, dict[str, Any]]
CASES: list[Case] = [(m.name, dims, options) for m in MECHANISMS for dims in m.dims for options in m.options]
FIRST_CASES: list[Case] = [(m.name, m.dims[-1], m.options[0]) for m in MECHANISMS]
VOLUME_ONLY = [m.name for m in MECHANISMS if m.dims == (3,)]
REFUSED = [(m.name, m.dims[-1], key, value) for m in MECHANISMS for key, value in m.refused.items()]


def build(case: Case, seed: int = 0) -> nn.Module:
    """Build the block of a case with weights of its own seed."""
    name, dims, options = case
    torch.manual_seed(seed)
    return get_attention_layer((name, options), dims, CHANNELS, SIZES[dims])


def sample(case: Case, batch: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return an input of the size that the block of a case was made for."""
    torch.manual_seed(7)
    return torch.randn(batch, CHANNELS, *SIZES[case[1]], dtype=dtype)


def describe(case: Case) -> str:
    """Name a case in the test report."""
    name, dims, options = case
    return "-".join([f"{name}{dims}d", *(f"{key}={value}" for key, value in options.items())])


scripts = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
exports_onnx = pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")
every_case = pytest.mark.parametrize("case", CASES, ids=describe)
every_mechanism = pytest.mark.parametrize("case", FIRST_CASES, ids=describe)


class AttentionContract:
    """Statements that hold for every attention block."""

    @every_case
    def test_output_has_the_shape_and_type_of_the_input(self, case: Case) -> None:
        x = sample(case, batch=2)
        y = build(case)(x)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.isfinite().all()

    @every_case
    def test_gates_lie_between_0_and_1(self, case: Case) -> None:
        gates = build(case)(torch.ones_like(sample(case)))
        assert (gates > 0).all()
        assert (gates < 1).all()

    @every_case
    def test_batch_of_three_is_three_single_runs(self, case: Case) -> None:
        block, x = build(case).double(), sample(case, batch=3, dtype=torch.float64)
        single = torch.cat([block(x[index : index + 1]) for index in range(3)])
        torch.testing.assert_close(block(x), single, rtol=0, atol=1e-12)

    @every_case
    @pytest.mark.parametrize("change", [-4, -1, 3, 20])
    def test_any_size_at_run_time(self, case: Case, change: int) -> None:
        x = torch.randn(1, CHANNELS, *(size + change for size in SIZES[case[1]]))
        y = build(case)(x)
        assert y.shape == x.shape
        assert y.isfinite().all()

    @every_case
    def test_gradients_are_finite_and_reach_input_and_all_parameters(self, case: Case) -> None:
        block, x = build(case), sample(case, batch=2).requires_grad_()
        block(x).square().mean().backward()
        for name, tensor in [("input", x), *block.named_parameters()]:
            assert tensor.grad is not None, name
            assert tensor.grad.isfinite().all(), name
            assert tensor.grad.any(), name

    @every_case
    def test_gradient_is_the_slope_of_the_output(self, case: Case) -> None:
        if case[2].get("key_gradient") is False:
            pytest.skip("the gradient that this option leaves out is part of the slope")
        name, dims, options = case
        torch.manual_seed(0)
        block = get_attention_layer((name, options), dims, 3, [3, 4, 3][:dims]).double()
        x = torch.randn(2, 3, *[3, 4, 3][:dims], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(block, x)

    @scripts
    @every_case
    def test_script_equals_eager(self, case: Case) -> None:
        block, x = build(case), sample(case, batch=2)
        scripted = torch.jit.script(block)
        torch.testing.assert_close(scripted(x), block(x))
        deeper = torch.cat([x, x], dim=2)
        torch.testing.assert_close(scripted(deeper), block(deeper))

    @every_case
    def test_export_equals_eager(self, case: Case) -> None:
        block, x = build(case).eval(), sample(case, batch=2)
        exported = torch.export.export(block, (x,)).module()
        torch.testing.assert_close(exported(x), block(x))

    @exports_onnx
    @every_mechanism
    def test_onnx_equals_eager(self, case: Case, tmp_path: Path) -> None:
        block, x = build(case).eval(), sample(case, batch=2)
        assert_onnx_equals(block, x, tmp_path / "block.onnx")

    @every_case
    def test_state_dict_carries_the_block(self, case: Case) -> None:
        assert_state_dict_carries(build(case, seed=1), build(case, seed=2), sample(case))

    @every_case
    def test_double_precision_is_kept(self, case: Case) -> None:
        block, x = build(case), sample(case)
        double = build(case).double()(x.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(block(x), double.float())

    @every_case
    def test_bfloat16_weights_run(self, case: Case) -> None:
        block, x = build(case), sample(case, batch=2)
        half = build(case).bfloat16()(x.bfloat16())
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), block(x), rtol=0.1, atol=0.05)

    @every_case
    def test_autocast_keeps_the_type_of_the_map_and_trains(self, case: Case) -> None:
        block, x = build(case), sample(case, batch=2).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = block(x)
        assert y.dtype == torch.float32
        torch.testing.assert_close(y, block(x), rtol=0.1, atol=0.05)
        y.square().mean().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()

    @pytest.mark.parametrize(("name", "dims", "key", "value"), REFUSED)
    def test_bad_option_is_refused_by_its_name(self, name: str, dims: int, key: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"^{key} must"):
            get_attention_layer((name, {key: value}), dims, CHANNELS, SIZES[dims])

    @pytest.mark.parametrize("name", VOLUME_ONLY)
    def test_slice_mechanism_refuses_images(self, name: str) -> None:
        with pytest.raises(ValueError, match="spatial_dims=3, got 2"):
            get_attention_layer(name, 2, CHANNELS, SIZES[2])

    @pytest.mark.parametrize("name", VOLUME_ONLY)
    @pytest.mark.parametrize("size", [None, [8, 8], [8, 0, 8]])
    def test_slice_mechanism_needs_the_size(self, name: str, size: list[int] | None) -> None:
        with pytest.raises(ValueError, match="needs spatial_size"):
            get_attention_layer(name, 3, CHANNELS, size)


def assert_state_dict_carries(source: nn.Module, target: nn.Module, x: torch.Tensor) -> None:
    """Assert that a saved state dict makes ``target`` compute what ``source`` does, and that it did not before."""
    assert not torch.equal(source(x), target(x))
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    target.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(source(x), target(x))


def assert_onnx_equals(module: nn.Module, x: torch.Tensor, file: Path) -> None:
    """Export a module to ONNX, run the file and compare with the module."""
    torch.onnx.export(module, (x,), str(file), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), module(x).detach(), rtol=1e-4, atol=1e-5)
