"""Submissions to the ISIC challenges: writing them, and checking them by the rules of the challenges.

Masks (Task 1 of 2016 to 2018): one gray PNG of 0 and 255 per image, ``ISIC_<7 digits>_segmentation.png``, at the size
of its file; since 2018 one region without holes. Confidences (2017 Part 3, 2018 Task 3): a CSV, one row per image.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from bundle.io.images import read_gray_levels
from bundle.io.open_image import ImageTooLargeError, open_image
from bundle.metrics.outline import one_region
from bundle.utils.atomic_write import atomic_write
from bundle.utils.check_choice import check_choice

TABLES = {
    "isic2017_part3": ("image_id", "melanoma", "seborrheic_keratosis"),
    "isic2018_task3": ("image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"),
}
"""Columns of the tables by challenge; the first is the name of the image."""

MASK = "{image_id}_segmentation.png"
IMAGE = re.compile(r"(ISIC_\d{7})\.(jpg|jpeg|png)", re.IGNORECASE)
NUMBER = re.compile(r"\d{7}")


def write_masks(results_dir: str | Path, output_dir: str | Path, *, postfix: str = "seg") -> list[Path]:
    """Write the masks of a run as a submission: with the names of the challenge, one region each, without holes.

    Args:
        results_dir: folder with ``ISIC_<7 digits>_<postfix>.png``, as written by
            :class:`bundle.tasks.images.SaveMaskd`.
        output_dir: folder to write to; created if missing.
        postfix: suffix of the masks in ``results_dir``.

    Returns:
        The files.

    Raises:
        ValueError: when ``results_dir`` holds no such masks.
        BadInputError: when one cannot be read.
    """
    sources = sorted(Path(results_dir).glob(f"ISIC_{'[0-9]' * 7}_{postfix}.png"))
    if not sources:
        raise ValueError(f"{results_dir}: holds no ISIC_*_{postfix}.png; pass the output_dir of a run on ISIC images.")
    target = Path(output_dir)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sources:
        mask = one_region(read_gray_levels(source) > 128)
        written.append(target / MASK.format(image_id=source.name.removesuffix(f"_{postfix}.png")))
        with atomic_write(written[-1]) as file:
            Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    return written


def check_masks(masks_dir: str | Path, images_dir: str | Path, *, year: int = 2018) -> list[str]:
    """Check a folder of masks against their images.

    Args:
        masks_dir: the submission.
        images_dir: folder of the images of the challenge.
        year: year of the challenge; since 2018 a mask must be one region without holes.

    Returns:
        The problems, as sentences that name the file; empty for a valid submission.
    """
    images = {match[1]: file for file in _files(images_dir) if (match := IMAGE.fullmatch(file.name))}
    if not images:
        return [f"{images_dir}: holds no images ISIC_<7 digits>.jpg."]
    problems, seen = [], set()
    for file in _files(masks_dir):
        number = NUMBER.search(file.name)
        image_id = f"ISIC_{number[0]}" if number else ""
        if image_id not in images:
            problems.append(f"{file.name}: does not name an image of {images_dir}.")
        elif image_id in seen:
            problems.append(f"{file.name}: is a second file for {image_id}.")
        else:
            seen.add(image_id)
            if file.name != MASK.format(image_id=image_id):
                problems.append(f"{file.name}: must be called {MASK.format(image_id=image_id)}.")
            problems += [f"{file.name}: {problem}." for problem in _mask_problems(file, images[image_id], year)]
    return problems + [f"{MASK.format(image_id=name)}: is missing." for name in images if name not in seen]


def write_confidences(
    confidences: Mapping[str, Mapping[str, float]], path: str | Path, *, challenge: str = "isic2017_part3"
) -> None:
    """Write confidences as the table of a challenge.

    Args:
        confidences: confidence of every class, in [0, 1], by the id of the image, ``ISIC_<7 digits>``.
        path: CSV file to write; its folder is created if missing.
        challenge: one of :data:`TABLES`.

    Raises:
        ValueError: when the challenge is unknown, a class is missing or unknown, or a confidence is not in [0, 1].
    """
    name, *classes = _columns(challenge)
    for image_id, values in confidences.items():
        if set(values) != set(classes):
            raise ValueError(f"{image_id}: has confidences of {', '.join(values)}; {', '.join(classes)} are expected.")
        if not all(0 <= value <= 1 for value in values.values()):
            raise ValueError(f"{image_id}: has the confidences {dict(values)}; they must lie in [0, 1].")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([name, *classes])
        for image_id in sorted(confidences):
            writer.writerow([image_id, *(f"{confidences[image_id][column]:.6f}" for column in classes)])


def check_confidences(path: str | Path, image_ids: Collection[str], *, challenge: str = "isic2017_part3") -> list[str]:
    """Check a table of confidences.

    Args:
        path: CSV file.
        image_ids: ids of the images of the challenge, ``ISIC_<7 digits>``.
        challenge: one of :data:`TABLES`.

    Returns:
        The problems, as sentences; empty for a valid table.

    Raises:
        ValueError: when the challenge is unknown.
    """
    columns = _columns(challenge)
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            header, *rows = list(csv.reader(stream)) or [[]]
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: cannot be read ({error})."]
    if tuple(header) != columns:
        return [f"{path}: the first line must be {','.join(columns)}, it is {','.join(header)}."]
    problems, seen = [], set()
    for line, (image_id, *values) in ((line, row) for line, row in enumerate(rows, start=2) if row):
        if image_id not in image_ids:
            problems.append(f"line {line}: {image_id} is not an image of the challenge.")
        if image_id in seen:
            problems.append(f"line {line}: {image_id} is repeated.")
        seen.add(image_id)
        if len(values) != len(columns) - 1:
            problems.append(f"line {line}: has {len(values)} confidences, {len(columns) - 1} are expected.")
        wrong = [value for value in values if not _is_confidence(value)]
        if wrong:
            problems.append(f"line {line}: {', '.join(wrong)} is not a decimal number from 0.0 to 1.0.")
    return problems + [f"{image_id}: is missing." for image_id in sorted(image_ids) if image_id not in seen]


def _files(folder: str | Path) -> list[Path]:
    return sorted(file for file in Path(folder).glob("*") if file.is_file() and not file.name.startswith("."))


def _mask_problems(file: Path, image: Path, year: int) -> list[str]:
    try:
        with open_image(file) as mask, open_image(image) as original:
            kind, size, expected = (mask.format, mask.mode), mask.size, original.size
            pixels = np.asarray(mask)
    except (OSError, ImageTooLargeError) as error:
        return [f"cannot be read ({error})"]
    if kind != ("PNG", "L"):
        return [f"is {kind[0]} of the mode {kind[1]}; it must be a PNG of the mode L, 8-bit gray"]
    problems = []
    if size != expected:
        problems.append(f"is {size[0]} x {size[1]} pixels, its image {expected[0]} x {expected[1]}")
    if not np.isin(pixels, (0, 255)).all():
        problems.append("holds values other than 0 and 255")
    if year >= 2018:
        regions = ndimage.label(pixels > 128, np.ones((3, 3)))[1]
        if regions != 1:
            problems.append(f"has {regions} regions; it must be one")
        if (ndimage.binary_fill_holes(pixels > 128) != (pixels > 128)).any():
            problems.append("has holes")
    return problems


def _columns(challenge: str) -> tuple[str, ...]:
    check_choice("challenge", challenge, TABLES)
    return TABLES[challenge]


def _is_confidence(text: str) -> bool:
    """Return whether a text is a decimal number from 0 to 1; the scorer refuses integers."""
    try:
        value = float(text)
    except ValueError:
        return False
    return not text.strip().lstrip("+-").isdigit() and math.isfinite(value) and 0 <= value <= 1
