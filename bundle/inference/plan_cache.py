"""Plans kept between runs, one JSON file for every machine, network and set of versions."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import monai
import torch

from bundle import __version__
from bundle.utils.digests import sha256_of_values
from bundle.utils.write_json import write_json

logger = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return ``$XDG_CACHE_HOME/keyslice``, by default ``~/.cache/keyslice``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "keyslice"


class PlanCache:
    """A folder of plans; one that cannot be read or written is the same as an empty one.

    A plan that is not lasting is kept in memory instead, for all caches of the folder in this process; so is one that a
    later process may improve, besides its file.

    Args:
        folder: folder, made when needed; None keeps nothing.
    """

    _passing: ClassVar[dict[Path, dict[str, Any]]] = {}

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def path(self, key: dict[str, Any]) -> Path | None:
        """Return the file of a key."""
        if self.folder is None:
            return None
        return self.folder / f"plan-{sha256_of_values(key)[:20]}.json"

    def holds(self, key: dict[str, Any]) -> bool:
        """Return whether this process has a plan under ``key`` in memory."""
        return self.path(key) in self._passing

    def read(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """Return what was kept under ``key``, or None."""
        path = self.path(key)
        if path in self._passing:
            return self._passing[path]
        if path is None or not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            logger.info("the plan kept in %s cannot be read and is measured again: %s", path, error)
            return None
        return content.get("chosen") if isinstance(content, dict) and content.get("key") == key else None

    def write(self, key: dict[str, Any], chosen: dict[str, Any], *, lasting: bool = True, final: bool = True) -> None:
        """Keep ``chosen`` under ``key``, atomically.

        Args:
            key: what the plan depends on.
            chosen: the plan.
            lasting: write a file; False keeps it for this process alone.
            final: whether no later process is to improve it; False keeps it for this process, too.
        """
        path = self.path(key)
        if path is None:
            return
        self._passing.pop(path, None)
        if not lasting or not final:
            self._passing[path] = chosen
        if not lasting:
            return
        try:
            write_json(path, {"key": key, "chosen": chosen})
        except OSError as error:
            logger.info("the plan cannot be kept in %s: %s", path.parent, error)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return what the speed of a plan depends on, in addition to the network."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": [torch.backends.cpu.get_cpu_capability(), os.environ.get("ONEDNN_MAX_CPU_ISA", "")],
        "versions": {"torch": torch.__version__, "monai": monai.__version__, "keyslice": __version__},
    }


def describe_networks(networks: Sequence[Callable[..., Any]]) -> dict[str, str] | None:
    """Return digests of the structure and of the weights; None where a network is not a module.

    The structure is that of the modules and of the shapes and types of the parameters and buffers.
    """
    structure, weights = hashlib.sha256(), 0
    for network in networks:
        if not isinstance(network, torch.nn.Module):
            return None
        structure.update(repr(network).encode())
        for name, value in _tensors(network):
            structure.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            data: Any = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            weights = zlib.crc32(data, weights)
    return {"structure": structure.hexdigest()[:20], "weights": f"{weights:08x}"}


def _tensors(network: torch.nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
