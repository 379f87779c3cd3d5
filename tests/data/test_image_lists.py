"""Pictures are found, paired with their masks and split by size, the same way every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.data import DatalistError
from bundle.data.image_lists import datalist_of, images_in, pair_images, split_by_sizes


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def cases(count: int) -> list[dict]:
    return [
        {"image": f"/data/images/{number:03}.jpg", "label": f"/data/masks/{number:03}.png"} for number in range(count)
    ]


def test_only_pictures_count(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "a_superpixels.png", "metadata.csv", "._a.png", "c.tiff")
    (tmp_path / "d.png").mkdir()
    assert [file.name for file in images_in(tmp_path)] == ["a.png", "b.JPG", "c.tiff"]


@pytest.mark.parametrize("name", ["a.png", "A.bmp", "a_segmentation.png", "a_mask.PNG", "a_lesion.bmp"])
def test_names_of_masks_may_say_that_they_are_masks(name: str, tmp_path: Path) -> None:
    images, masks = touch(tmp_path / "images", "a.jpg"), touch(tmp_path / "masks", name, "other.png")
    assert pair_images(images, masks) == [{"image": str(images / "a.jpg"), "label": str(masks / name)}]


def test_what_cannot_be_paired_is_refused(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", *(f"{number}.jpg" for number in range(7)))
    with pytest.raises(DatalistError, match=r"no mask for 7 pictures: 0\.jpg, .*4\.jpg, \.\.\.;"):
        pair_images(images, touch(tmp_path / "masks"))
    masks = touch(tmp_path / "masks", *(f"{number}.png" for number in range(7)))
    assert len(pair_images(images, masks)) == 7
    touch(masks, "3_mask.png")
    with pytest.raises(DatalistError, match=r"3\.jpg: has several masks"):
        pair_images(images, masks)
    (masks / "3_mask.png").unlink()
    touch(images, "5.png")
    with pytest.raises(DatalistError, match=r"5\.png: another picture in this folder has the same name"):
        pair_images(images, masks)


def test_a_split_has_the_sizes_that_are_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    parts = split_by_sizes(cases(100), (60, 15, 25), seed=0)
    assert [len(parts[name]) for name in ("training", "validation", "test")] == [60, 15, 25]
    assert sorted(case["image"] for part in parts.values() for case in part) == [case["image"] for case in cases(100)]
    assert not caplog.text
    assert parts == split_by_sizes(cases(100)[::-1], (60, 15, 25), seed=0)
    assert parts != split_by_sizes(cases(100), (60, 15, 25), seed=1)


def test_fewer_pictures_are_split_by_the_same_shares(caplog: pytest.LogCaptureFixture) -> None:
    parts = split_by_sizes(cases(20), (60, 15, 25), seed=0)
    assert [len(parts[name]) for name in ("training", "validation", "test")] == [12, 3, 5]
    assert "there are 20 pictures, not 100" in caplog.text
    with pytest.raises(DatalistError, match="3 pictures are too few"):
        split_by_sizes(cases(3), (60, 15, 25), seed=0)


def test_a_datalist_has_relative_paths_and_a_fold_for_validation() -> None:
    first, second, third = cases(3)
    content = datalist_of("/data", {"training": [second], "validation": [first], "test": [third]}, 7)
    assert content == {
        "seed": 7,
        "training": [
            {"image": "images/000.jpg", "label": "masks/000.png", "fold": 0},
            {"image": "images/001.jpg", "label": "masks/001.png", "fold": 1},
        ],
        "test": [{"image": "images/002.jpg", "label": "masks/002.png"}],
    }
    alone = datalist_of("/data/images", {"training": [{**first, "fold": 3}]}, 0)
    assert alone["training"] == [{"image": "000.jpg", "label": "../masks/000.png", "fold": 3}]
