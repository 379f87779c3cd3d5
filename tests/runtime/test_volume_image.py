"""Volumes are read, turned, cropped and resampled as by the transforms of the workflows."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import noise, write_nifti
from helpers.runtime_images import AFFINES, OPTIONS, workflow

from bundle.grid.original_grid import original_grid
from bundle.io.input_checks import ChannelsError, DimensionError, UnreadableFileError
from bundle.runtime.volume_image import VolumeImage, load_volume, resample


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize(
    "resampling",
    [
        {"pixdim": [1.0, 1.0, 1.0]},
        {"pixdim": [4.0, None, 4.0], "antialias": True},
        {"pixdim": [None] * 3, "antialias": True},
    ],
)
def test_an_image_is_that_of_the_workflow(affine: np.ndarray, resampling: dict, tmp_path: Path) -> None:
    voxels = np.pad(noise((17, 22, 13)), ((2, 0), (1, 3), (0, 4)), constant_values=-7)
    file = write_nifti(tmp_path / "a.nii.gz", voxels, affine)
    wanted = workflow(file, **resampling)
    image = load_volume(file, **OPTIONS)
    found = resample(image, resampling["pixdim"], antialias=resampling.get("antialias", False))
    np.testing.assert_allclose(found.values, wanted.as_tensor().numpy(), atol=1e-5)
    np.testing.assert_allclose(found.affine, np.asarray(wanted.affine), atol=1e-6)
    assert "; ".join(found.remarks) == wanted.meta["remarks"]
    matrix, size = original_grid(wanted[None])
    np.testing.assert_allclose(np.linalg.solve(found.affine, found.file_affine), matrix, atol=1e-6)
    assert list(found.file_shape) == size


def test_nothing_is_cropped_where_the_model_was_trained_with_borders(tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "a.nii.gz", np.pad(noise((4, 5, 6)), 2))
    assert load_volume(file, **{**OPTIONS, "crop_border": False}).values.shape == (1, 8, 9, 10)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_voxels_of_a_volume_lie_in_the_order_of_its_axes(affine: np.ndarray, tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "a.nii.gz", noise((9, 10, 11)), affine)
    assert load_volume(file, **{**OPTIONS, "crop_border": False}).values.flags.c_contiguous


def test_channels_are_the_fourth_axis(tmp_path: Path) -> None:
    voxels = noise((4, 5, 6, 2))
    file = write_nifti(tmp_path / "a.nii.gz", voxels)
    found = load_volume(file, **{**OPTIONS, "channels": ["t1", "t2"]})
    np.testing.assert_array_equal(found.values, np.moveaxis(voxels, 3, 0))
    with pytest.raises(ChannelsError, match=r"number of channels, 2; 3 are expected \(a, b, c\)"):
        load_volume(file, **{**OPTIONS, "channels": ["a", "b", "c"]})
    with pytest.raises(DimensionError, match="4 axes"):
        load_volume(file, **OPTIONS)


def test_axes_of_size_one_are_dropped_and_units_converted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(noise((4, 5, 6, 1)), np.diag([0.001, 0.001, 0.001, 1.0]))
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii.gz")
    found = load_volume(tmp_path / "a.nii.gz", **OPTIONS)
    np.testing.assert_allclose(found.affine, np.eye(4), atol=1e-6)
    assert len(found.remarks) == 2


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "a.nii", noise((20, 20, 20)))
    file.write_bytes(file.read_bytes()[:9000])
    with pytest.raises(UnreadableFileError, match="the voxels cannot be read"):
        load_volume(file, **OPTIONS)


def test_a_lack_of_memory_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    file = write_nifti(tmp_path / "a.nii.gz", noise((4, 5, 6)))
    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__array__", fail)
    with pytest.raises(MemoryError):
        load_volume(file, **OPTIONS)


def test_the_extent_is_in_mm() -> None:
    image = VolumeImage(np.zeros((1, 2, 3, 4)), np.diag([2.0, 1, 1, 1]), (2, 3, 4), np.eye(4), ())
    assert image.extent_mm == [4.0, 3.0, 4.0]
