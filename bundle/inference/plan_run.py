"""How a plan is carried out: precision, memory format, threads, and a way round the slow convolution of PyTorch.

On a CPU, PyTorch 2.13 runs a 3D convolution in float32 without oneDNN where one window is a batch and
``channels x depth x height`` is at most 20480, a rule made for images; that is 2 to 7 times slower. A plan with
``direct`` calls oneDNN itself. Group normalization, which PyTorch sums inexactly where the channels are innermost, is
that of :mod:`bundle.networks.blocks.norm` in a plan with ``channels_last``.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bundle.networks.blocks.norm import group_norm
from bundle.utils.check_choice import check_choice
from bundle.utils.parse_bool import parse_bool

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The precisions in which PyTorch runs a network."""
Dtype = Literal["fp32", "bf16", "fp16", "int8"]
MemoryFormat = Literal["contiguous", "channels_last"]

KEPT_BLOCK, KEPT_TOP = 64 << 20, 256 << 20
"""Bytes: blocks up to this size come from the heap, and so much of its free end is kept."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Plan:
    """How to run a network on windows.

    Attributes:
        dtype: ``"fp32"``, ``"bf16"`` or ``"fp16"`` by autocast, or ``"int8"`` by
            :class:`bundle.inference.int8_network.Int8Network`, which takes the place of the network.
        memory_format: ``"contiguous"`` or ``"channels_last"``, which the convolutions pass on from the windows.
        batch: windows per forward pass.
        threads: threads of PyTorch on a CPU; None does not change them.
        direct: call oneDNN for every 3D convolution in float32 on a CPU. TorchScript modules take no notice.
        compile: run the network through ``torch.compile``.
    """

    dtype: Dtype = "fp32"
    memory_format: MemoryFormat = "contiguous"
    batch: int = 1
    threads: int | None = None
    direct: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        check_choice("the dtype of a plan", self.dtype, get_args(Dtype))
        check_choice("the memory_format of a plan", self.memory_format, get_args(MemoryFormat))
        for name, value in (("batch", self.batch), ("threads", 1 if self.threads is None else self.threads)):
            if type(value) is not int or value < 1:
                raise ValueError(f"plan must have {name} of at least 1, an integer, got {value!r}.")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Plan:
        """Make a plan of a dictionary; what it leaves out has its default.

        Raises:
            ValueError: when an option is unknown or has a value that it cannot have.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(options.keys() - set(known))
        if unknown:
            raise ValueError(f"plan must have no options but {', '.join(known)}, got {', '.join(unknown)}.")
        switched = {
            name: parse_bool(f"plan's {name}", options[name]) for name in ("direct", "compile") if name in options
        }
        return cls(**{**options, **switched})

    def __str__(self) -> str:
        words = [self.dtype, self.memory_format, f"{self.batch} window{'s' if self.batch > 1 else ''} per batch"]
        if self.threads is not None:
            words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        words += [name for name in ("direct", "compile") if getattr(self, name)]
        return ", ".join(words)


@contextmanager
def carried_out(plan: Plan, device: torch.device) -> Iterator[None]:
    """Run what stands inside in the precision and with the threads of ``plan``; weights are cast once inside it."""
    before = torch.get_num_threads()
    on_cpu = device.type == "cpu"
    if on_cpu and plan.threads is not None and plan.threads != before:
        torch.set_num_threads(plan.threads)
    half = plan.dtype in ("bf16", "fp16")
    autocast = torch.autocast(device.type, dtype=DTYPES[plan.dtype], enabled=True) if half else nullcontext()
    replaced: dict[Any, Callable[..., Any]] = {}
    if plan.direct and on_cpu and torch.backends.mkldnn.is_available():
        replaced[torch.conv3d] = _convolve
    if plan.memory_format == "channels_last" and on_cpu and not plan.compile:
        replaced[functional.group_norm] = group_norm
    try:
        with autocast, _Replaced(replaced) if replaced else nullcontext():
            yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def planned(plan: Plan, network: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``network`` for windows ``(N, C, ...)``: it gets them in the format of the plan, its scores are float32.

    The network itself is left alone: its convolutions keep the memory format of their input.
    """

    def run(windows: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if plan.memory_format == "channels_last":
            windows = _channels_last(windows)
        return _plain(network(windows, *args, **kwargs))

    return run


def reuse_memory() -> bool:
    """Let the allocator keep what a window leaves, in place of giving it back and paying page faults for the next one.

    It holds for the whole process, on Linux with glibc; elsewhere, and where the environment sets glibc's thresholds
    (``MALLOC_*``, ``GLIBC_TUNABLES``), nothing is done. Up to 256 MiB stay with the process.

    Returns:
        Whether the thresholds were set.
    """
    own = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if own or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_TOP))


def _channels_last(windows: torch.Tensor) -> torch.Tensor:
    """Lay windows out with the channels innermost, by their strides too, which say nothing of one channel else."""
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(windows.ndim)
    if layout is None:
        return windows
    return torch.empty(windows.shape, dtype=windows.dtype, device=windows.device, memory_format=layout).copy_(windows)


def _plain(outputs: Any) -> Any:
    """Return outputs of a network in float32 where they are in half precision, contiguous."""
    if isinstance(outputs, torch.Tensor):
        half = outputs.dtype in (torch.bfloat16, torch.float16)
        dtype = torch.float32 if half else outputs.dtype
        return outputs.to(dtype, memory_format=torch.contiguous_format)
    if isinstance(outputs, Mapping):
        return {key: _plain(value) for key, value in outputs.items()}
    return type(outputs)(_plain(value) for value in outputs) if isinstance(outputs, list | tuple) else outputs


class _Replaced(TorchFunctionMode):
    """Call other functions in place of some of PyTorch's."""

    def __init__(self, functions: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.functions = functions

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.functions.get(func, func)(*args, **(kwargs or {}))


def _convolve(*args: Any, **kwargs: Any) -> torch.Tensor:
    """Send 3D convolutions in float32 to oneDNN, whatever their size."""
    if not kwargs and len(args) == 7:
        x, weight, bias, stride, padding, dilation, groups = args
        if _fits(x, weight, padding):
            return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
    return torch.conv3d(*args, **kwargs)


def _fits(x: torch.Tensor, weight: torch.Tensor, padding: Any) -> bool:
    if x.ndim != 5 or isinstance(padding, str) or not x.dtype == weight.dtype == torch.float32:
        return False
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last_3d)
