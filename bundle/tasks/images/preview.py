"""A contact sheet of augmented images and their masks, for inspection before a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from PIL import Image

from bundle.utils.atomic_write import atomic_write

from .mask_overlay import overlay

logger = logging.getLogger(__name__)

GAP = 4
"""Pixels between two cells of the sheet."""


def save_preview(
    dataset: Dataset,
    path: str | Path,
    *,
    images: int = 6,
    variants: int = 4,
    side: int = 160,
    seed: int = 0,
    image_key: str = "image",
    label_key: str = "label",
) -> Path:
    """Write a PNG with the first images of a training dataset, one per row, each with several random augmentations.

    A cell shows the image with the contour of its mask next to the mask; without a mask, as in a classification, only
    the image. Values outside 0 to 1, such as standardized ones, are rescaled to that range.

    Args:
        dataset: returns transformed items; its random transforms are seeded.
        path: file to write; its folder is created if missing.
        images: maximum number of rows.
        variants: augmentations per image.
        side: longer side of an image on the sheet in pixels.
        seed: seed of the random transforms.
        image_key: key of the image ``(C, H, W)``: color for three or more channels, otherwise gray.
        label_key: key of the mask ``(1, H, W)`` of class numbers.

    Returns:
        The path.

    Raises:
        ValueError: when the dataset is empty, or a number is not positive.
    """
    if min(images, variants, side) < 1:
        raise ValueError(f"images, variants and side must be 1 or more, got {images}, {variants} and {side}.")
    if not len(dataset):
        raise ValueError("the dataset of the preview is empty; check dataset_dir and datalist.")
    dataset.transform.set_random_state(seed)
    rows = [
        [_cell(dataset[number], side, image_key, label_key) for _ in range(variants)]
        for number in range(min(images, len(dataset)))
    ]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        _join_rows(rows).save(file, "PNG")
    logger.info("preview of %d images, %d variants each, written to %s", len(rows), variants, target)
    return target


def _cell(item: Mapping[str, Any], side: int, image_key: str, label_key: str) -> Image.Image:
    """Draw one image, with its mask if it has one."""
    pixels = _pixels(torch.as_tensor(item[image_key]).detach().float().cpu())
    label = torch.as_tensor(item[label_key]).cpu() if label_key in item else None
    if label is None or label.ndim != 3:
        return _scale(Image.fromarray(pixels), side)
    classes = label[0].round().clamp_min(0).to(torch.uint8).numpy()
    mask = (classes.astype(float) * (255 / max(int(classes.max()), 1))).round().astype(np.uint8)
    drawn = [_scale(Image.fromarray(part).convert("RGB"), side) for part in (overlay(pixels, classes), mask)]
    return _join_columns(drawn, gap=0)


def _pixels(image: torch.Tensor) -> np.ndarray:
    """Return an image ``(C, H, W)`` as ``(H, W, 3)``, uint8."""
    colors = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    low, high = float(colors.min()), float(colors.max())
    if low < 0 or high > 1:
        colors = (colors - low) / max(high - low, 1e-6)
    return np.ascontiguousarray((colors * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _scale(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    return image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))


def _join_columns(parts: Sequence[Image.Image], *, gap: int) -> Image.Image:
    size = sum(part.width for part in parts) + gap * (len(parts) - 1), max(part.height for part in parts)
    row = Image.new("RGB", size, "white")
    left = 0
    for part in parts:
        row.paste(part, (left, 0))
        left += part.width + gap
    return row


def _join_rows(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    drawn = [_join_columns(row, gap=GAP) for row in rows]
    size = max(row.width for row in drawn), sum(row.height for row in drawn) + GAP * (len(drawn) - 1)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in drawn:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    return sheet
