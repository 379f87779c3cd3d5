"""A contact sheet of augmented pictures and their masks, to look at before a training."""

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
    pictures: int = 6,
    variants: int = 4,
    side: int = 160,
    seed: int = 0,
    image_key: str = "image",
    label_key: str = "label",
) -> Path:
    """Write a PNG with the first pictures of a training dataset, one a row, each as often as it is drawn anew.

    A cell is the picture with the contour of its mask, and the mask beside it; without a mask, as in a classification,
    the picture alone. Values outside 0 to 1, such as standardized ones, are stretched to it.

    Args:
        dataset: gives transformed items; its random transforms are seeded, and stay so.
        path: file to write; its folder is made when missing.
        pictures: rows, at most.
        variants: draws of every picture.
        side: longer side of a picture on the sheet in pixels.
        seed: seed of the random transforms.
        image_key: key of the picture ``(C, H, W)``: color from three channels on, else grey.
        label_key: key of the mask ``(1, H, W)`` of class numbers.

    Returns:
        The path.

    Raises:
        ValueError: when there is nothing to draw, or a number is not positive.
    """
    if min(pictures, variants, side) < 1:
        raise ValueError(f"pictures, variants and side must be 1 or more, got {pictures}, {variants} and {side}.")
    if not len(dataset):
        raise ValueError("the dataset of the preview is empty; check dataset_dir and datalist.")
    dataset.transform.set_random_state(seed)
    rows = [
        [_cell(dataset[number], side, image_key, label_key) for _ in range(variants)]
        for number in range(min(pictures, len(dataset)))
    ]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        _sheet(rows).save(file, "PNG")
    logger.info("preview of %d pictures, %d times each, in %s", len(rows), variants, target)
    return target


def _cell(item: Mapping[str, Any], side: int, image_key: str, label_key: str) -> Image.Image:
    """Draw one picture, with its mask if there is one."""
    pixels = _pixels(torch.as_tensor(item[image_key]).detach().float().cpu())
    label = torch.as_tensor(item[label_key]).cpu() if label_key in item else None
    if label is None or label.ndim != 3:
        return _scaled(Image.fromarray(pixels), side)
    classes = label[0].round().to(torch.uint8).numpy()
    mask = (classes.astype(float) * (255 / max(int(classes.max()), 1))).round().astype(np.uint8)
    drawn = [_scaled(Image.fromarray(part).convert("RGB"), side) for part in (overlay(pixels, classes), mask)]
    return _beside(drawn, gap=0)


def _pixels(picture: torch.Tensor) -> np.ndarray:
    """Return a picture ``(C, H, W)`` as ``(H, W, 3)``, uint8."""
    colors = picture[:3] if len(picture) >= 3 else picture[:1].expand(3, -1, -1)
    low, high = float(colors.min()), float(colors.max())
    if low < 0 or high > 1:
        colors = (colors - low) / max(high - low, 1e-6)
    return np.ascontiguousarray((colors * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _scaled(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    return image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))


def _beside(parts: Sequence[Image.Image], *, gap: int) -> Image.Image:
    size = sum(part.width for part in parts) + gap * (len(parts) - 1), max(part.height for part in parts)
    row = Image.new("RGB", size, "white")
    left = 0
    for part in parts:
        row.paste(part, (left, 0))
        left += part.width + gap
    return row


def _sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    drawn = [_beside(row, gap=GAP) for row in rows]
    size = max(row.width for row in drawn), sum(row.height for row in drawn) + GAP * (len(drawn) - 1)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in drawn:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    return sheet
