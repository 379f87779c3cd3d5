"""Label maps have the geometry of their image, and none of its scaling."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from bundle.io.nifti_labels import nifti_labels

LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
AFFINE = np.array([[0.0, -2, 0, 5], [1, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])


def test_the_geometry_of_the_image_is_kept_and_its_scaling_is_not() -> None:
    source = nib.Nifti2Image(np.zeros((2, 3, 4), np.int16), AFFINE)
    source.set_sform(AFFINE, code=4)
    source.header.set_slope_inter(0.5, 3)
    source.header["cal_max"] = 99
    found = nifti_labels(LABELS, np.eye(4), source)
    assert isinstance(found, nib.Nifti2Image)
    np.testing.assert_array_equal(np.asarray(found.dataobj), LABELS)
    np.testing.assert_allclose(found.header.get_best_affine(), AFFINE)
    assert (int(found.header["sform_code"]), float(found.header["cal_max"])) == (4, 0.0)
    assert found.get_data_dtype() == np.uint8


def test_without_an_image_the_affine_is_that_of_the_scanner() -> None:
    found = nifti_labels(LABELS, AFFINE, None)
    np.testing.assert_allclose(found.header.get_best_affine(), AFFINE)
    assert (int(found.header["sform_code"]), int(found.header["qform_code"])) == (1, 1)
    assert found.header.get_xyzt_units()[0] == "mm"
