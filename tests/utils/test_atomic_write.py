"""Atomic writing of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.utils.atomic_write import atomic_copy, atomic_write


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


def test_a_copy_replaces_a_file_atomically(tmp_path: Path) -> None:
    source, target = tmp_path / "new.pt", tmp_path / "served" / "model.pt"
    target.parent.mkdir()
    for text in ("first", "second"):
        source.write_text(text)
        with open(target if target.exists() else source) as reader:
            atomic_copy(source, target)
            assert reader.read() == "first"
        assert target.read_text() == text
    assert [file.name for file in target.parent.iterdir()] == ["model.pt"]
