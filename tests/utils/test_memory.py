"""The memory of a process is that of the machine or of its container."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

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


class TestSharedHeap:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
        monkeypatch.setattr(memory.sys, "platform", "linux")

    def test_one_heap_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[int, int]] = []
        library = SimpleNamespace(mallopt=lambda *values: asked.append(values) or 1)
        monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: library)
        assert memory.share_heap()
        assert asked == [(-8, 1)]

    def test_another_system_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory.sys, "platform", "darwin")
        assert not memory.share_heap()

    def test_the_choice_of_the_user_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
        assert not memory.share_heap()

    def test_a_library_without_it_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace())
        assert not memory.share_heap()
