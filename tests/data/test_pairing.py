"""Images and labels are paired by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.pairing import images_in, pair_images, pair_volumes, skip_unlabeled


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_labels_are_found_by_name_and_not_by_order(tmp_path: Path) -> None:
    touch(tmp_path, "i/b.nii.gz", "i/a.nii", "i/c.nii.gz", "l/a_glm.nii.gz", "l/b-label.nii.gz", "l/d.nii.gz")
    found = pair_volumes(tmp_path / "i", tmp_path / "l")
    assert [(Path(case["image"]).name, Path(case.get("label", "-")).name) for case in found] == [
        ("a.nii", "a_glm.nii.gz"),
        ("b.nii.gz", "b-label.nii.gz"),
        ("c.nii.gz", "-"),
    ]


def test_an_image_with_several_label_maps_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.nii.gz", "l/a.nii.gz", "l/a_seg.nii.gz")
    with pytest.raises(DatalistError, match=r"a.nii.gz: has several labels: .*a.nii.gz, .*a_seg.nii.gz; remove"):
        pair_volumes(tmp_path / "i", tmp_path / "l")


def test_a_case_without_a_label_is_skipped_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert skip_unlabeled([{"image": ["a.nii", "b.nii"]}, {"image": "c", "label": "d"}]) == [
        {"image": "c", "label": "d"}
    ]
    assert "a.nii: skipped, since it has no label map" in caplog.text


def test_only_images_count(tmp_path: Path) -> None:
    fill(tmp_path, "b.JPG", "a.png", "a_superpixels.png", "metadata.csv", "._a.png", "c.tiff")
    (tmp_path / "d.png").mkdir()
    assert [file.name for file in images_in(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]


@pytest.mark.parametrize("name", ["a.png", "A.bmp", "a_segmentation.png", "a_mask.PNG", "a_lesion.bmp"])
def test_names_of_masks_may_end_with_a_word_for_mask(name: str, tmp_path: Path) -> None:
    images, masks = fill(tmp_path / "images", "a.jpg"), fill(tmp_path / "masks", name, "other.png")
    assert pair_images(images, masks) == [{"image": str(images / "a.jpg"), "label": str(masks / name)}]


def test_the_channel_that_nnunet_appends_to_images_is_no_part_of_their_name(tmp_path: Path) -> None:
    images, masks = fill(tmp_path / "imagesTr", "a_0000.png"), fill(tmp_path / "labelsTr", "a.png")
    assert pair_images(images, masks) == [{"image": str(images / "a_0000.png"), "label": str(masks / "a.png")}]


def test_what_cannot_be_paired_is_refused(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", *(f"{number}.jpg" for number in range(7)))
    with pytest.raises(DatalistError, match=r"no label for 7 images: 0\.jpg, .*4\.jpg, \.\.\.;"):
        pair_images(images, fill(tmp_path / "masks"))
    masks = fill(tmp_path / "masks", *(f"{number}.png" for number in range(7)))
    assert len(pair_images(images, masks)) == 7
    fill(masks, "3_mask.png")
    with pytest.raises(DatalistError, match=r"3\.jpg: has several labels"):
        pair_images(images, masks)
    (masks / "3_mask.png").unlink()
    fill(images, "5.png")
    with pytest.raises(DatalistError, match=r"5\.png: another image in this folder has the same name"):
        pair_images(images, masks)
