"""Packed names are a sorted list of names that takes little memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from bundle.utils import packed_names
from bundle.utils.packed_names import PackedNames


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 3000])
def test_names_are_those_of_a_sorted_list(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_names, "RUN", 512)
    names = [f"s{number % 7}/é{number:05d}-T1w.nii.gz" for number in range(count)]
    random.Random(0).shuffle(names)
    packed, expected = PackedNames(iter(names)), sorted(names, key=lambda name: Path(name).parts)
    assert len(packed) == count
    assert bool(packed) == bool(count)
    assert list(packed) == expected
    assert [packed[index] for index in range(-count, count)] == expected * 2
    assert packed[100:700:50] == expected[100:700:50]
    for index in (count, -count - 1):
        with pytest.raises(IndexError):
            packed[index]


def test_names_are_kept_as_the_file_system_has_them() -> None:
    names = ["line\nbreak", "\udcff not UTF-8", "b/c", "b-c"]
    assert list(PackedNames(names)) == sorted(names, key=lambda name: name.split("/"))


def test_sorting_takes_little_memory_too() -> None:
    numbers = list(range(100_000))
    random.Random(0).shuffle(numbers)
    tracemalloc.start()
    packed = PackedNames(f"sub-{number:06d}_T1w.nii.gz" for number in numbers)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(packed) == 100_000
    assert held < 100_000 * 6
    assert peak < 5_000_000
