"""Items that are images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bundle.check.findings import Reading
from bundle.check.image_reader import read_image_item
from bundle.check.items import Item
from bundle.io.images import EXIF_ORIENTATION


def write(path: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def read(image: str, label: str | None = None, classes: Any = None) -> Reading:
    return read_image_item(Item("a", (image,), label, "training", "images", classes))


def kinds(reading: Reading) -> list[str]:
    return [fault.kind for fault in reading.faults]


def test_a_image_and_its_mask_are_described(tmp_path: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:10, 5:25] = 255
    reading = read(write(tmp_path / "a.png", noise(30, 40, 3)), write(tmp_path / "m.png", mask))
    assert kinds(reading) == []
    assert reading.facts["size"] == [30, 40]
    assert (reading.facts["classes"], reading.facts["voxels"]) == ({"1": 100}, 1200)
    np.testing.assert_allclose(reading.facts["color"], noise(30, 40, 3).mean((0, 1)) / 255, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "value", "kind"),
    [((30, 40), 0, "empty label"), ((20, 40), 255, "grid mismatch"), ((30, 40), 7, "label values")],
)
def test_faults_of_a_mask_are_reported(tmp_path: Path, size: tuple[int, int], value: int, kind: str) -> None:
    mask = np.zeros(size, np.uint8)
    mask[3:9, 3:9] = value
    reading = read(write(tmp_path / "a.png", noise(30, 40, 3)), write(tmp_path / "m.png", mask))
    assert kinds(reading) == [kind]


def test_a_mask_without_background_and_repairs_are_remarks(tmp_path: Path) -> None:
    full, numbers = np.full((30, 40), 255, np.uint8), np.ones((30, 40), np.uint8)
    image = write(tmp_path / "a.png", noise(30, 40, 3))
    assert [r.message.split(": ")[1] for r in read(image, write(tmp_path / "m.png", full)).remarks] == [
        "holds no background"
    ]
    assert len(read(image, write(tmp_path / "n.png", numbers)).remarks) == 2


def test_an_even_or_unreadable_image_is_a_fault(tmp_path: Path) -> None:
    assert kinds(read(write(tmp_path / "a.png", np.full((30, 40, 3), 9, np.uint8)))) == ["empty image"]
    reading = read(str(tmp_path / "no.png"), write(tmp_path / "m.png", np.eye(30, dtype=np.uint8) * 255))
    assert kinds(reading) == ["unreadable file"]
    assert (reading.thumbnail, reading.facts["classes"]) == ("", {"1": 30})


def test_sixteen_bits_and_transparency_are_read(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 65536, (30, 40)).astype(np.uint16)
    assert read(write(tmp_path / "a.png", gray)).facts["bits"] == 16
    clear = noise(30, 40, 4)
    assert len(read(write(tmp_path / "b.png", clear)).remarks) == 1


@pytest.mark.parametrize("classes", [{"melanoma": 2}, {}, ["melanoma"]])
def test_classes_that_are_neither_0_nor_1_are_a_fault(tmp_path: Path, classes: Any) -> None:
    assert kinds(read(write(tmp_path / "a.png", noise(30, 40, 3)), None, classes)) == ["class values"]


def test_classes_are_described(tmp_path: Path) -> None:
    reading = read(write(tmp_path / "a.png", noise(30, 40, 3)), None, {"melanoma": 1, "nevus": 0})
    assert (kinds(reading), reading.facts["labels"]) == ([], {"melanoma": 1, "nevus": 0})


@pytest.mark.parametrize(("orientation", "is_fault"), [(3, False), (6, True)])
def test_a_mask_without_the_exif_orientation_of_its_image_is_named(
    orientation: int, is_fault: bool, tmp_path: Path
) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:10, 5:25] = 255
    image = Image.fromarray(noise(30, 40, 3))
    exif = image.getexif()
    exif[EXIF_ORIENTATION] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    reading = read(str(tmp_path / "a.png"), write(tmp_path / "m.png", mask))
    assert kinds(reading) == ["grid mismatch"] * is_fault
    messages = [note.message for note in (reading.faults if is_fault else reading.remarks)]
    assert any(f"has the EXIF orientation 1, its image {orientation}" in message for message in messages)


@pytest.mark.parametrize("labeled", [True, False])
def test_pixels_that_nobody_labeled_are_counted_and_are_no_class(labeled: bool, tmp_path: Path) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:4], mask[10:14] = 128, 255 * labeled
    item = Item(
        "a", (write(tmp_path / "a.png", noise(20, 30, 3)),), write(tmp_path / "m.png", mask), "training", "images"
    )
    reading = read_image_item(item, ignore_label=128)
    assert reading.facts["classes"] == {"-1": 120, **({"1": 120} if labeled else {})}
    assert kinds(reading) == ([] if labeled else ["empty label"])
