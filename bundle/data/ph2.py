"""Datalist of PH2, 200 dermoscopic images with lesion masks (Mendonça et al., EMBC 2013)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .datalist_file import DatalistError, datalist_content
from .fold_assignment import split_by_sizes

SIZES = (80, 20, 100)
"""Numbers of training, validation and test images, as published networks were evaluated."""


def prepare_ph2(root: str | Path, *, seed: int = 0) -> dict[str, Any]:
    """List PH2, split into 80, 20 and 100 images.

    Args:
        root: folder that holds, at any depth, ``IMD002/IMD002_Dermoscopic_Image/IMD002.bmp`` and
            ``IMD002/IMD002_lesion/IMD002_lesion.bmp`` and so on.
        seed: seed of the shuffle; which images the published split has was never published.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``; fold 0 is for validation.

    Raises:
        DatalistError: when the folder holds no such images, or one has no mask.
    """
    images = sorted(Path(root).rglob("IMD*_Dermoscopic_Image/IMD*.bmp"))
    if not images:
        raise DatalistError(
            f"{root}: holds no IMD*/IMD*_Dermoscopic_Image/IMD*.bmp; name the folder 'PH2 Dataset images'."
        )
    masks = {image: image.parents[1] / f"{image.stem}_lesion" / f"{image.stem}_lesion.bmp" for image in images}
    missing = [str(mask) for mask in masks.values() if not mask.is_file()]
    if missing:
        raise DatalistError(f"{root}: {len(missing)} masks are missing, the first of these: {missing[0]}.")
    cases = [{"image": str(image), "label": str(mask)} for image, mask in masks.items()]
    return datalist_content(root, split_by_sizes(cases, SIZES, seed), seed=seed)
