"""Result files in the format that a request asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from helpers.phantoms import orientation_affine, write_nifti
from PIL import Image

from bundle.server.label_tasks import TASKS, LabelTask
from bundle.server.response_files import DTYPES, get_extension, get_format_overrides, write_response_file
from bundle.server.server_errors import RequestError

VOLUMES = TASKS[0]


@pytest.fixture
def label_map(tmp_path: Path) -> Path:
    """A label map on a grid that is not oblique."""
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) % 3
    return write_nifti(tmp_path / "l.nii.gz", array, orientation_affine("LPS", (1, 2, 3)))


@pytest.fixture
def images_2d() -> LabelTask:
    """A task for 2D images with two structures."""
    task = replace(TASKS[2])
    task.__dict__["config"] = {"label_names": {"nucleus": 1, "cytoplasm": 2}, "levels": [40, 80]}
    return task


def test_extensions_are_those_of_the_formats_of_the_bundle(images_2d: LabelTask) -> None:
    assert get_extension(VOLUMES, {}) == ".nii.gz"
    assert get_extension(VOLUMES, {"result_extension": "nrrd"}) == ".nrrd"
    assert get_extension(images_2d, {"result_extension": None}) == ".png"
    for task, extension in ((VOLUMES, ".png"), (images_2d, ".exe")):
        with pytest.raises(RequestError, match="result_extension must be one of"):
            get_extension(task, {"result_extension": extension})


def test_the_format_is_set_in_the_config(images_2d: LabelTask) -> None:
    assert get_format_overrides(VOLUMES, {"result_extension": ".seg.nrrd"}) == {"output_format": "nrrd"}
    assert get_format_overrides(images_2d, {}) == {}
    assert get_format_overrides(images_2d, {"result_extension": ".nrrd"}) == {"levels": [1, 2]}
    images_2d.__dict__["config"] = {}
    assert get_format_overrides(images_2d, {"result_extension": ".nrrd"}) == {}


def test_a_file_in_the_requested_format_is_copied(label_map: Path, tmp_path: Path) -> None:
    made = write_response_file(label_map, VOLUMES, {}, tmp_path)
    assert made != label_map
    assert made.read_bytes() == label_map.read_bytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_data_types_are_converted_and_the_grid_is_kept(dtype: str, label_map: Path, tmp_path: Path) -> None:
    made = write_response_file(label_map, VOLUMES, {"result_dtype": dtype, "result_extension": ".nii"}, tmp_path)
    image, source = nib.Nifti1Image.from_filename(made), nib.Nifti1Image.from_filename(label_map)
    assert (made.suffix, image.get_data_dtype()) == (".nii", np.dtype(dtype))
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), np.asanyarray(source.dataobj))
    np.testing.assert_allclose(image.affine, source.affine, atol=1e-6)


def test_a_mask_can_be_returned_as_nrrd(images_2d: LabelTask, tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "m.png")
    made = write_response_file(
        tmp_path / "m.png", images_2d, {"result_extension": ".nrrd", "result_compress": "false"}, tmp_path
    )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(made))), mask)
    assert b"encoding: raw" in made.read_bytes()


def test_invalid_formats_are_refused(label_map: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="result_dtype must be one of uint8"):
        write_response_file(label_map, VOLUMES, {"result_dtype": "str"}, tmp_path)
    with pytest.raises(RequestError, match="result_compress must be true or false"):
        write_response_file(label_map, VOLUMES, {"result_compress": "perhaps"}, tmp_path)
