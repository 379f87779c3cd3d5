"""A compressed file is read to its checksum, so that damage does not become other voxels."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import noise, write_nifti

from bundle.io import LoadVolumed
from bundle.io.compressed_nifti import open_nifti
from bundle.io.input_checks import UnreadableFileError
from bundle.runtime.volume_image import load_volume

LENGTH = 8
"""Bytes of the checksum and the length at the end of a gzip file."""


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_the_voxels_are_those_of_the_file(ending: str, tmp_path: Path) -> None:
    values = noise((5, 6, 7))
    with open_nifti(write_nifti(tmp_path / f"a{ending}", values)) as image:
        np.testing.assert_array_equal(np.asarray(image.dataobj), values)


def with_other_voxel(path: Path) -> None:
    """Change a byte of the content, and keep the checksum of the old one."""
    whole = path.read_bytes()
    content = bytearray(gzip.decompress(whole))
    content[400] ^= 1
    path.write_bytes(gzip.compress(bytes(content))[:-LENGTH] + whole[-LENGTH:])


def without_checksum(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-LENGTH])


@pytest.mark.parametrize("damage", [with_other_voxel, without_checksum])
def test_damage_behind_or_within_the_voxels_is_an_error(damage: object, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", noise((5, 6, 7)))
    damage(path)  # type: ignore[operator]
    with pytest.raises((OSError, EOFError, zlib.error)), open_nifti(path) as image:
        np.asarray(image.dataobj)
    with pytest.raises(UnreadableFileError, match=r"a.nii.gz: the voxels cannot be read"):
        LoadVolumed("image")({"image": str(path)})
    with pytest.raises(UnreadableFileError, match=r"a.nii.gz: the voxels cannot be read"):
        load_volume(path, channels=["image"], spacing_range=(0.1, 10), crop_border=False)


def test_zeros_behind_the_content_are_no_damage(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", noise((5, 6, 7)))
    path.write_bytes(path.read_bytes() + bytes(64))
    with open_nifti(path) as image:
        assert np.asarray(image.dataobj).shape == (5, 6, 7)
