"""Atomic writing of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.utils.atomic_write import atomic_write


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_write(target) as file:
        file.write_text("all")
        assert not target.exists()
    assert target.read_text() == "all"

    def fail() -> None:
        with atomic_write(target) as file:
            file.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "all"
