"""What the viewer shows is the box around the structures, in its place in the world."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers.phantoms import noise, rotation, write_nifti

from bundle.review import case_view
from bundle.review.case_view import view_of

AFFINE = rotation(10, 20, -30) @ np.diag([1.0, 2.0, 1.5, 1.0])
AFFINE[:3, 3] = 5, -6, 7


def decode(text: str) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def files(folder: Path, labels: np.ndarray, image: np.ndarray) -> tuple[str, Path]:
    """Write image and label map."""
    paths = [write_nifti(folder / f"{name}.nii.gz", v, AFFINE) for name, v in (("image", image), ("labels", labels))]
    return str(paths[0]), paths[1]


def test_the_box_around_the_labels_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_view, "MARGIN_MM", 2.0)
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[8:12, 9:13, 0:4] = 300 - 298
    found = view_of(*files(tmp_path, labels, noise((20, 20, 20), dtype=np.int16)))
    assert found is not None
    image, shown = decode(found["image"]), decode(found["labels"])
    assert shown.shape == (8, 6, 5)
    assert image.get_data_dtype() == shown.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(shown.dataobj), labels[6:14, 8:14, 0:5])
    np.testing.assert_allclose(shown.affine @ [0, 0, 0, 1], AFFINE @ [6, 8, 0, 1], atol=1e-4)
    assert np.asarray(image.dataobj).min() == 0
    assert np.asarray(image.dataobj).max() == 255


def test_a_large_box_is_shown_with_every_second_voxel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_view, "LARGEST", 2000)
    labels = np.ones((20, 20, 20), np.uint8)
    found = view_of(*files(tmp_path, labels, noise((20, 20, 20))))
    assert found is not None
    shown = decode(found["labels"])
    assert shown.shape == (10, 10, 10)
    np.testing.assert_allclose(shown.affine @ [1, 0, 2, 1], AFFINE @ [2, 0, 4, 1], atol=1e-4)


def test_without_labels_the_complete_image_is_shown(tmp_path: Path) -> None:
    found = view_of(*files(tmp_path, np.zeros((6, 7, 8), np.uint8), np.full((6, 7, 8), 3.0)))
    assert found is not None
    assert decode(found["image"]).shape == (6, 7, 8)


def test_what_cannot_be_read_or_does_not_fit_is_not_shown(tmp_path: Path) -> None:
    image, labels = files(tmp_path, np.zeros((6, 7, 8), np.uint8), noise((6, 7, 8)))
    other = write_nifti(tmp_path / "other.nii.gz", np.zeros((3, 3, 3), np.uint8))
    assert view_of(image, other) is None
    assert view_of(str(tmp_path / "none.nii.gz"), labels) is None
    damaged = tmp_path / "damaged.nii"
    damaged.write_bytes(b"no")
    assert view_of(image, damaged) is None
    assert view_of(f"{image}, {image}", labels) is not None
    truncated = write_nifti(tmp_path / "truncated.nii.gz", noise((6, 7, 8)))
    truncated.write_bytes(truncated.read_bytes()[:-200])
    assert view_of(image, truncated) is None


def test_a_name_with_a_comma_is_one_file(tmp_path: Path) -> None:
    image, labels = files(tmp_path, np.zeros((6, 7, 8), np.uint8), noise((6, 7, 8)))
    named = Path(image).rename(tmp_path / "Doe, Jane.nii.gz")
    assert view_of(str(named), labels) is not None
