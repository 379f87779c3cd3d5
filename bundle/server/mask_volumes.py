"""Labels of pictures that come as volumes, as programs for volumes such as 3D Slicer save them, made into masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bundle.io.images import EXIF_ORIENTATION

from .label_tasks import ENDINGS, VOLUME
from .server_errors import RequestError

AS_VOLUME = tuple(ending for ending in ENDINGS[VOLUME] if ending != ".zip")
"""Endings of label maps that become masks."""


def is_volume(file: str | Path) -> bool:
    """Tell by its name whether a label is stored as a volume."""
    return Path(file).name.lower().endswith(AS_VOLUME)


def write_mask(file: str | Path, picture: str | Path, target: Path, shown: str) -> None:
    """Write a label map of one slice as PNG of class numbers that lies on its picture.

    Such programs show the pixels of a picture as they are stored, whatever its EXIF tag says; the mask gets the same
    tag.

    Args:
        file: label map, in a format of ITK.
        picture: the picture that it belongs to.
        target: PNG to write.
        shown: name to call the label map by.

    Raises:
        RequestError: 400, when it cannot be read, is no label map, or has not the size of the picture.
    """
    import SimpleITK as sitk  # noqa: N813 - its usual name

    try:
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
    except RuntimeError as error:
        raise RequestError(400, f"{shown}: cannot be read by ITK; save it again, or as PNG.") from error
    with Image.open(picture) as image:
        size, orientation = (1, image.height, image.width), image.getexif().get(EXIF_ORIENTATION, 1)
    if values.shape not in (size, size[1:]):
        raise RequestError(
            400, f"{shown}: has the size {values.shape[::-1]}, its image {size[:0:-1]}; draw on the image."
        )
    classes = values.reshape(size[1:])
    if (classes != classes.astype(np.uint8)).any():
        raise RequestError(400, f"{shown}: holds values that are no class numbers from 0 to 255; save a label map.")
    mask = Image.fromarray(classes.astype(np.uint8))
    exif = mask.getexif()
    if orientation != 1:
        exif[EXIF_ORIENTATION] = orientation
    mask.save(target, "PNG", exif=exif)
