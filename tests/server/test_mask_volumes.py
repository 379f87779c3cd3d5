"""Labels of 2D images that were saved as volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
from PIL import Image

from bundle.io.images import read_image, read_mask
from bundle.server.datastore import StudyDatastore
from bundle.server.label_tasks import IMAGE
from bundle.server.mask_volumes import is_volume, write_mask
from bundle.server.server_errors import RequestError

SIZE = (4, 6)


def image_2d(path: Path, orientation: int = 1) -> Path:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def label(path: Path, values: Any) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.asarray(values)), str(path))
    return path


def test_volumes_are_recognized_by_their_extension() -> None:
    assert is_volume("a.NII.GZ")
    assert not is_volume("a.png")


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
def test_a_label_map_of_one_slice_becomes_a_mask(dims: int, extension: str, tmp_path: Path) -> None:
    classes = np.random.default_rng(1).integers(0, 3, SIZE, np.uint8)
    file = label(tmp_path / f"l{extension}", classes if dims == 2 else classes[None])
    write_mask(file, image_2d(tmp_path / "p.jpg"), tmp_path / "m.png", "l")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", [40, 80]).pixels, classes)


def test_the_mask_fits_an_image_with_an_exif_rotation(tmp_path: Path) -> None:
    turned = image_2d(tmp_path / "p.jpg", 6)
    stored = np.asarray(Image.open(turned))[..., 0]
    bright = (stored > 128).astype(np.uint8)
    write_mask(label(tmp_path / "l.nrrd", bright[None]), turned, tmp_path / "m.png", "l")
    upright = read_image(turned).pixels[..., 0] > 128
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", [255]).pixels, upright)


def test_a_file_that_is_not_a_label_of_the_image_is_refused(tmp_path: Path) -> None:
    image, target = image_2d(tmp_path / "p.jpg"), tmp_path / "m.png"
    broken = tmp_path / "b.nii.gz"
    broken.write_bytes(b"x")
    for file, message in (
        (broken, "cannot be read by ITK"),
        (label(tmp_path / "s.nrrd", np.zeros((6, 4), np.uint8)), "has the size"),
        (label(tmp_path / "f.nrrd", np.full(SIZE, 0.5, np.float32)), "not class numbers"),
    ):
        with pytest.raises(RequestError, match=message) as error:
            write_mask(file, image, target, "l")
        assert error.value.status == 400


def test_the_datastore_stores_the_mask(tmp_path: Path) -> None:
    image_2d(tmp_path / "p.jpg")
    store = StudyDatastore(str(tmp_path), IMAGE)
    classes = np.eye(*SIZE, dtype=np.uint8)
    store.save_label("p", str(label(tmp_path / "l.nii.gz", classes[None])), "final", {})
    kept = store.get_label_uri("p", "final")
    assert kept.endswith("/labels/final/p.png")
    np.testing.assert_array_equal(np.asarray(Image.open(kept)), classes)
