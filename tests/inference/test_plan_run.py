"""A plan says precision, format and threads; carrying it out changes nothing outside."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import pytest
import torch
from helpers.phantoms import noise

from bundle.inference import plan_run
from bundle.inference.plan_run import Plan, carried_out, planned, reuse_memory

CPU = torch.device("cpu")


def test_a_plan_reads_as_a_line() -> None:
    assert str(Plan()) == "fp32, contiguous, 1 window per batch"
    plan = Plan("bf16", "channels_last", batch=2, threads=2, direct=True, compile=True)
    assert str(plan) == "bf16, channels_last, 2 windows per batch, 2 threads, direct, compile"


def test_false_in_the_text_of_a_command_line_means_false() -> None:
    assert Plan.of({"direct": "false", "compile": "False", "batch": 2}) == Plan(batch=2)
    assert Plan.of({"direct": "true"}).direct is True
    with pytest.raises(ValueError, match="plan's direct must be true or false, got 'maybe'"):
        Plan.of({"direct": "maybe"})


def test_threads_and_autocast_end_with_the_plan() -> None:
    before = torch.get_num_threads()
    with carried_out(Plan("bf16", threads=before + 1), CPU):
        assert torch.get_num_threads() == before + 1
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")
    assert torch.get_num_threads() == before
    assert not torch.is_autocast_enabled("cpu")


def test_threads_are_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stop"), carried_out(Plan(threads=before + 1), CPU):
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("axes", [2, 3])
def test_windows_lie_with_their_channels_innermost(axes: int, channels: int) -> None:
    seen = []
    windows = torch.as_tensor(noise((2, channels, *[4] * axes), 0))
    result = planned(Plan(memory_format="channels_last"), lambda x: seen.append(x) or x)(windows)
    assert seen[0].stride(1) == 1
    assert seen[0].stride(-1) == channels
    assert result.is_contiguous()
    assert torch.equal(result, windows)


def test_windows_of_one_axis_have_no_such_format() -> None:
    windows = torch.as_tensor(noise((2, 3, 4), 0))
    assert torch.equal(planned(Plan(memory_format="channels_last"), lambda x: x * 2)(windows), windows * 2)


def test_outputs_in_half_precision_become_float32_and_others_stay() -> None:
    half, count = torch.ones(1, dtype=torch.bfloat16), torch.ones(1, dtype=torch.int64)
    outputs = planned(Plan(), lambda x: {"scores": [half, (count, "name")]})(torch.ones(1))
    scores, (same, name) = outputs["scores"]
    assert scores.dtype == torch.float32
    assert same.dtype == torch.int64
    assert name == "name"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("options", [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "groups": 2, "bias": False}])
def test_the_direct_convolution_is_that_of_double_precision(layout: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(4, 6, 3, **options)
    x = torch.as_tensor(noise((1, 4, 7, 6, 8), 0)).contiguous(memory_format=layout)
    with torch.no_grad(), carried_out(Plan(direct=True), CPU):
        ours = conv(x)
    exact = conv.double()(x.double())
    torch.testing.assert_close(ours.double(), exact, atol=1e-5, rtol=1e-5)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []
    own = torch.mkldnn_convolution
    monkeypatch.setattr(torch, "mkldnn_convolution", lambda *args: made.append(args) or own(*args))
    return made


def test_what_the_direct_convolution_cannot_do_takes_the_usual_way(calls: list[Any]) -> None:
    x, conv = torch.as_tensor(noise((1, 2, 4, 4, 4), 0)), torch.nn.Conv3d(2, 2, 3, padding=1)
    same = torch.nn.Conv3d(2, 2, 3, padding="same")
    with torch.no_grad(), carried_out(Plan(direct=True), CPU):
        conv(x)
        assert len(calls) == 1
        torch.nn.functional.relu(x)
        torch.nn.functional.conv3d(input=x, weight=conv.weight)
        torch.conv3d(x, conv.weight, stride=1)
        same(x)
        conv(x[0])
        conv(x.transpose(2, 3))
        torch.nn.Conv3d(2, 2, 1).double()(x.double())
    assert len(calls) == 1


def test_group_normalization_of_any_network_is_exact_with_channels_last() -> None:
    torch.manual_seed(0)
    norm = torch.nn.GroupNorm(2, 8)
    air = 0.01 * torch.as_tensor(noise((1, 8, 40, 40, 40), 0)) - 0.8
    with torch.no_grad(), carried_out(Plan(memory_format="channels_last"), CPU):
        found = planned(Plan(memory_format="channels_last"), norm)(air)
        named = torch.nn.functional.group_norm(input=air, num_groups=2, eps=1e-5)
    torch.testing.assert_close(found, norm(air), rtol=0, atol=5e-5)
    assert torch.equal(named, torch.group_norm(air, 2))


def test_without_onednn_nothing_is_direct(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with torch.no_grad(), carried_out(Plan(direct=True), CPU):
        torch.nn.Conv3d(2, 2, 1)(torch.ones(1, 2, 4, 4, 4))
    assert calls == []


def test_the_allocator_keeps_blocks_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Library:
        def __init__(self, name: str) -> None:
            self.mallopt = lambda key, value: told.append((key, value)) or 1

    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert reuse_memory()
    assert told == [(-3, 64 * 2**20), (-1, 256 * 2**20)]


def test_the_allocator_is_left_alone_where_it_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, name: str) -> None:
            pass

    for name in [name for name in os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(plan_run.ctypes, "CDLL", Library)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not reuse_memory()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    monkeypatch.setattr(plan_run.ctypes, "CDLL", lambda name: pytest.fail("loaded"))
    assert not reuse_memory()
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not reuse_memory()
