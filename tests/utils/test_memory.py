"""The memory of a process is that of the machine or of its container."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.utils import memory

GB = 1024**3


@pytest.mark.parametrize(
    ("meminfo", "limit", "expected"),
    [
        ("MemTotal: 99 kB\nMemAvailable:    4194304 kB\n", None, 4 * GB),
        ("MemAvailable: 4194304 kB\n", "max\n", 4 * GB),
        ("MemAvailable: 4194304 kB\n", f"{GB}\n", GB),
        (None, f"{2 * GB}", 2 * GB),
        (None, None, 8 * GB),
    ],
)
def test_the_smaller_of_machine_and_container_counts(
    meminfo: str | None, limit: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("meminfo", meminfo), ("limit", limit)):
        if text is not None:
            (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (tmp_path / "limit",))
    assert memory.available_memory() == expected


def test_the_processes_of_a_machine_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert memory.process_share() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.process_share() == 0.25
