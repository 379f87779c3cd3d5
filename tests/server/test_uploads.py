"""Uploads are checked before they are accepted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import ball, write_case, write_nifti
from PIL import Image

from bundle.server.label_tasks import IMAGE, VOLUME
from bundle.server.server_errors import RequestError
from bundle.server.uploads import check_extension, check_image, check_label, get_upload_name
from bundle.tasks.spine.discs import Disc, write_markups


def refused(message: str) -> pytest.RaisesExc:
    """Expect an error with the status 400."""
    return pytest.raises(RequestError, match=message, check=lambda error: error.status == 400)


@pytest.fixture
def image_2d(tmp_path: Path) -> Path:
    """A 2D image of 5 x 4 pixels."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def test_valid_images_are_accepted(tmp_path: Path, image_2d: Path) -> None:
    check_image(write_case(tmp_path, "a")["image"], VOLUME, "a.nii.gz")
    check_image(image_2d, IMAGE, "p.png")


def test_invalid_images_are_refused_with_their_names(tmp_path: Path) -> None:
    broken = tmp_path / "upload.nii.gz"
    broken.write_bytes(b"nothing")
    with refused("scan.nii.gz: cannot be read"):
        check_image(broken, VOLUME, "scan.nii.gz")
    with refused("mole.png"):
        check_image(broken.rename(tmp_path / "upload.png"), IMAGE, "mole.png")


def test_files_of_the_other_kind_are_refused() -> None:
    with refused("x.png: this server reads volumes"):
        check_extension("x.png", VOLUME)
    with refused("x.nii.gz: this server reads 2D images"):
        check_extension("x.nii.gz", IMAGE)


def test_labels_must_be_on_the_grid_of_their_image(tmp_path: Path) -> None:
    case = write_case(tmp_path, "a")
    check_label(case["label"], case["image"], VOLUME, "l.nii.gz")
    other = write_nifti(tmp_path / "other.nii.gz", ball((9, 9, 9)))
    with refused(".*l.nii.gz"):
        check_label(other, case["image"], VOLUME, "l.nii.gz")


def test_points_of_slicer_are_labels_of_volumes_only(tmp_path: Path, image_2d: Path) -> None:
    points, image = tmp_path / "d.mrk.json", write_case(tmp_path, "a")["image"]
    write_markups([Disc(3, (1.0, 2.0, 3.0)), Disc(4, (1.0, 2.0, -3.0))], points)
    check_label(points, image, VOLUME, "d.mrk.json")
    with refused("reads 2D images"):
        check_label(points, image_2d, IMAGE, "d.mrk.json")
    points.write_text("{}")
    with refused("d.mrk.json"):
        check_label(points, image, VOLUME, "d.mrk.json")


def test_points_of_another_image_are_refused(tmp_path: Path) -> None:
    points, image = tmp_path / "d.mrk.json", write_case(tmp_path, "a")["image"]
    write_markups([Disc(3, (1.0, 2.0, 300.0)), Disc(4, (1.0, 2.0, -30.0))], points)
    with refused("d.mrk.json: has no point inside its image; send the points of this image, in mm"):
        check_label(points, image, VOLUME, "d.mrk.json")
    write_markups([], points)
    check_label(points, image, VOLUME, "d.mrk.json")
    Path(image).write_bytes(b"x")
    with refused("a.nii.gz: cannot be read"):
        check_label(points, image, VOLUME, "d.mrk.json")


def test_classes_are_labels_of_2d_images_only(tmp_path: Path, image_2d: Path) -> None:
    classes = tmp_path / "p.classes.json"
    classes.write_text('{"classes": {"melanoma": 1}}')
    check_label(classes, image_2d, IMAGE, "p.classes.json")
    with refused("reads volumes"):
        check_label(classes, tmp_path / "unread.nii.gz", VOLUME, "p.classes.json")
    classes.write_text("{}")
    with refused("p.classes.json: contains no classes"):
        check_label(classes, image_2d, IMAGE, "p.classes.json")


def test_masks_must_have_the_size_of_their_image(image_2d: Path, tmp_path: Path) -> None:
    Image.fromarray(np.eye(4, 5, dtype=np.uint8) * 255).save(tmp_path / "m.png")
    check_label(tmp_path / "m.png", image_2d, IMAGE, "m.png")
    Image.fromarray(np.eye(5, 4, dtype=np.uint8) * 255).save(tmp_path / "m.png")
    with refused("m.png: has 4 x 5 pixels, its image 5 x 4"):
        check_label(tmp_path / "m.png", image_2d, IMAGE, "m.png")


def test_uploads_keep_their_name_without_folders() -> None:
    assert get_upload_name("../x/my scan.NII.GZ", VOLUME) == "my scan.NII.GZ"
    assert get_upload_name(None, IMAGE) == "image.jpg"
    with refused("this server reads volumes"):
        get_upload_name("scan.exe", VOLUME)
