"""Memory that a process may use."""

from __future__ import annotations

import os
import re
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
FALLBACK_BYTES = 8 * 1024**3


def available_memory() -> int:
    """Return the bytes of memory that are available: of the machine, or of the container if that has less.

    Where the system does not report them (only Linux does in ``/proc``), 8 GB.
    """
    found = [int(number) * 1024 for number in re.findall(r"MemAvailable:\s*(\d+) kB", _read(MEMINFO))]
    limits = [int(text) for text in map(_read, CGROUP_LIMITS) if text.strip().isdigit()]
    return min([*found, *limits], default=FALLBACK_BYTES)


def process_share() -> float:
    """Return the share of the memory that is for this process, by the processes of ``torchrun`` on this machine."""
    return 1 / max(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
