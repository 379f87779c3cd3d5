"""Submissions that are written pass the check, and the check finds what the challenges' scorer refuses."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.tasks.images.isic_submission import TABLES, check_confidences, check_masks, write_confidences, write_masks

IDS = ["ISIC_0000001", "ISIC_0000002"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Images, results of a run with two regions and a hole, and the submission that is written from them."""
    names = ("images", "results", "submission")
    images, results, submission = (tmp_path / name for name in names)
    for folder in (images, results):
        folder.mkdir()
    mask = np.zeros((20, 30), np.uint8)
    mask[4:15, 5:20] = 255
    mask[8:10, 8:12] = 0
    mask[18, 28] = 255
    for image_id in IDS:
        Image.new("RGB", (30, 20)).save(images / f"{image_id}.jpg")
        Image.fromarray(mask).save(results / f"{image_id}_seg.png")
    (images / "ISIC_0000001_superpixels.png").touch()
    write_masks(results, submission)
    return images, results, submission


def test_masks_that_are_written_pass(folders: tuple[Path, Path, Path]) -> None:
    images, _, submission = folders
    assert sorted(file.name for file in submission.iterdir()) == [f"{name}_segmentation.png" for name in IDS]
    assert check_masks(submission, images) == []
    with Image.open(submission / "ISIC_0000001_segmentation.png") as image:
        pixels = np.asarray(image)
        assert image.mode == "L"
    expected = np.zeros((20, 30), np.uint8)
    expected[4:15, 5:20] = 255
    np.testing.assert_array_equal(pixels, expected)


def test_problems_of_a_mask_are_listed(folders: tuple[Path, Path, Path]) -> None:
    images, results, submission = folders
    second = submission / "ISIC_0000002_segmentation.png"

    def problems(image: Image.Image, **options: int) -> str:
        image.save(second)
        return " ".join(check_masks(submission, images, **options))

    assert "is PNG of the mode RGB" in problems(Image.new("RGB", (30, 20)))
    assert "is 20 x 30 pixels, its image 30 x 20" in problems(Image.new("L", (20, 30), 255))
    assert "values other than 0 and 255" in problems(Image.new("L", (30, 20), 200))
    with Image.open(results / "ISIC_0000002_seg.png") as image:
        raw = image.copy()
    assert "has 2 regions" in problems(raw)
    assert "has holes" in problems(raw)
    assert problems(raw, year=2017) == ""
    assert "has 0 regions" in problems(Image.new("L", (30, 20)))
    second.write_bytes(b"no image")
    assert "cannot be read" in " ".join(check_masks(submission, images))


def test_missing_and_additional_files_are_listed(folders: tuple[Path, Path, Path]) -> None:
    images, results, submission = folders
    (submission / "ISIC_0000002_segmentation.png").rename(submission / "0000002.png")
    (submission / "notes.txt").touch()
    (submission / "ISIC_0000001_copy.png").touch()
    (submission / "ISIC_0000009_segmentation.png").touch()
    (submission / ".hidden").touch()
    found = "\n".join(check_masks(submission, images))
    assert "0000002.png: must be called ISIC_0000002_segmentation.png." in found
    assert f"notes.txt: does not name an image of {images}." in found
    assert "ISIC_0000009_segmentation.png: does not name an image" in found
    assert "ISIC_0000001_segmentation.png: is a second file for ISIC_0000001." in found
    (submission / "0000002.png").unlink()
    assert "ISIC_0000002_segmentation.png: is missing." in check_masks(submission, images)
    assert "holds no images" in check_masks(submission, results)[0]
    with pytest.raises(ValueError, match="holds no ISIC"):
        write_masks(images, submission)


@pytest.mark.parametrize("challenge", TABLES)
def test_confidences_that_are_written_pass(challenge: str, tmp_path: Path) -> None:
    classes = TABLES[challenge][1:]
    confidences = {name: {column: 1 / (1 + place) for place, column in enumerate(classes)} for name in IDS[::-1]}
    write_confidences(confidences, tmp_path / "new" / "a.csv", challenge=challenge)
    lines = (tmp_path / "new" / "a.csv").read_text().splitlines()
    assert lines[0] == ",".join(TABLES[challenge])
    assert lines[1].startswith("ISIC_0000001,1.000000,0.500000")
    assert check_confidences(tmp_path / "new" / "a.csv", IDS, challenge=challenge) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ISIC_0000009,0.5,0.5", "line 2: ISIC_0000009 is not an image"),
        ("ISIC_0000002,0.5,0.5", "line 3: ISIC_0000002 is repeated"),
        ("ISIC_0000001,0.5", "line 2: has 1 confidences, 2 are expected"),
        ("ISIC_0000001,1,0.5", "line 2: 1 is not a decimal number"),
        ("ISIC_0000001,nan,0.5", "line 2: nan is not a decimal number"),
        ("ISIC_0000001,1.5,-0.1", r"line 2: 1\.5, -0\.1 is not a decimal number"),
        ("ISIC_0000001,high,0.5", "line 2: high is not a decimal number"),
        ("", "ISIC_0000001: is missing"),
    ],
)
def test_problems_of_a_table_are_listed(line: str, problem: str, tmp_path: Path) -> None:
    header = "image_id,melanoma,seborrheic_keratosis"
    (tmp_path / "a.csv").write_text(f"{header}\n{line}\nISIC_0000002,0.1,0.2\n")
    found = "\n".join(check_confidences(tmp_path / "a.csv", IDS))
    assert re.search(problem, found)


def test_a_table_of_another_form_is_refused(tmp_path: Path) -> None:
    for text in ("image_id,melanoma\n", ""):
        (tmp_path / "a.csv").write_text(text)
        assert (
            "the first line must be image_id,melanoma,seborrheic_keratosis"
            in check_confidences(tmp_path / "a.csv", IDS)[0]
        )
    assert "cannot be read" in check_confidences(tmp_path / "absent.csv", IDS)[0]


def test_confidences_that_the_challenge_refuses_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are expected"):
        write_confidences({"ISIC_0000001": {"melanoma": 0.5}}, tmp_path / "a.csv")
    with pytest.raises(ValueError, match="must lie in"):
        write_confidences({"ISIC_0000001": {"melanoma": 1.5, "seborrheic_keratosis": 0}}, tmp_path / "a.csv")
    with pytest.raises(ValueError, match="challenge must be one of"):
        write_confidences({}, tmp_path / "a.csv", challenge="isic2020")
    assert not (tmp_path / "a.csv").exists()
