"""Memory that a process may use."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
FALLBACK_BYTES = 8 * 1024**3

M_ARENA_MAX = -8
"""Parameter of glibc's ``mallopt``."""


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


def share_heap() -> bool:
    """Let all threads allocate from one heap, so that what one thread frees can be used by the others.

    With a heap per thread, glibc keeps several large images for every thread that loads them. It holds for threads that
    start later, on Linux with glibc; elsewhere, and where the environment sets ``MALLOC_ARENA_MAX``, nothing is done.

    Returns:
        Whether it was set.
    """
    if "MALLOC_ARENA_MAX" in os.environ or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_ARENA_MAX, 1))
