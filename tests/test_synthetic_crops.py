"""Crops of any contrast from label maps of heads, for the training of the hippocampus model."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.tools import load_tool

synthetic_crops = load_tool("synthetic_crops")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A label map with a complete left and a cut right hippocampus, in an orientation of its own."""
    voxels = np.full((110, 120, 100), 2, np.uint8)
    voxels[25:45, 40:80, 40:60] = 17
    voxels[70:85, 40:55, 40:60] = 53
    path = tmp_path / "maps" / "head.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(voxels[:, ::-1].copy(), np.diag([1.0, -1.0, 1.0, 1.0])), path)
    return path


def crops_of(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        file.name: (np.asarray(nib.load(file).dataobj), np.asarray(nib.load(folder / "labels" / file.name).dataobj))
        for file in sorted((folder / "images").glob("*.nii.gz"))
    }


def test_every_complete_side_has_crops_with_both_parts(
    head: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        synthetic_crops.make_crops([head], tmp_path / "out", count=2)
    found = crops_of(tmp_path / "out")
    assert list(found) == ["head_left_0.nii.gz", "head_left_1.nii.gz"]
    assert "the right hippocampus is cut" in caplog.text
    for image, label in found.values():
        assert image.shape == label.shape == (56, 72, 56)
        assert set(np.unique(label)) == {0, 1, 2}
        assert np.argwhere(label == 1)[:, 1].min() == np.argwhere(label == 2)[:, 1].max() + 1
    (first, _), (second, _) = found.values()
    assert not np.allclose(first, second)


def test_crops_are_the_same_in_every_run(head: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        synthetic_crops.make_crops([head], tmp_path / name, count=1)
    one, two = crops_of(tmp_path / "one"), crops_of(tmp_path / "two")
    for name in one:
        np.testing.assert_array_equal(one[name][0], two[name][0])
        np.testing.assert_array_equal(one[name][1], two[name][1])
