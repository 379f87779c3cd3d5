"""A file of a result is whole if it can be read to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import noise, write_nifti
from PIL import Image

from bundle.inference.whole_files import is_whole


def make(path: Path) -> Path:
    """Write a file of the format that its name says."""
    if path.name.endswith((".nii", ".nii.gz")):
        return write_nifti(path, noise((9, 9, 9)))
    if path.suffix == ".png":
        Image.fromarray(noise((40, 40), dtype=np.uint8)).save(path)
    else:
        path.write_text('{"discs": [1, 2]}' if path.suffix == ".json" else "level_value,R_mm\n3,1\n")
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.mrk.json", "a.png", "a.nii", "a.nii.gz"])
def test_a_file_of_a_known_format_is_whole_until_it_is_damaged(name: str, tmp_path: Path) -> None:
    file = make(tmp_path / name)
    assert is_whole(file)
    content = file.read_bytes()
    file.write_bytes(b"" if name.lower().endswith("sv") else content[:-5])
    assert not is_whole(file)
    file.write_bytes(b"\0" * len(content))
    assert not is_whole(file)


def test_a_format_that_is_not_known_and_a_missing_file_are_not_whole(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_text("a")
    assert not is_whole(tmp_path / "a.bin")
    assert not is_whole(tmp_path / "a.csv")
