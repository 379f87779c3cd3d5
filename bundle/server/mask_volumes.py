"""Conversion of labels of 2D images that 3D Slicer saved as volumes to PNG masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bundle.io.images import EXIF_ORIENTATION
from bundle.io.label_rounding import round_labels
from bundle.io.open_image import open_image

from .label_tasks import EXTENSIONS, VOLUME
from .server_errors import RequestError

VOLUME_EXTENSIONS = tuple(extension for extension in EXTENSIONS[VOLUME] if extension != ".zip")
"""Extensions of label maps that are converted to masks."""


def is_volume(file: str | Path) -> bool:
    """Return whether a label is stored as a volume, by its name."""
    return Path(file).name.lower().endswith(VOLUME_EXTENSIONS)


def write_mask(file: str | Path, image_file: str | Path, target: Path, display_name: str) -> None:
    """Write a label map of one slice as a PNG of class numbers on the grid of its image.

    Programs for volumes ignore the EXIF orientation of an image, so the mask gets the same EXIF tag.

    Args:
        file: label map, in a format that ITK reads.
        image_file: the image of the label.
        target: PNG to write.
        display_name: name of the label map in error messages.

    Raises:
        RequestError: 400, if it cannot be read, is not a label map, or its size is not that of the image.
    """
    import SimpleITK as sitk  # noqa: N813 - its usual name

    try:
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
    except RuntimeError as error:
        raise RequestError(400, f"{display_name}: cannot be read by ITK; save it again, or as PNG.") from error
    with open_image(image_file) as image:
        size, orientation = (1, image.height, image.width), image.getexif().get(EXIF_ORIENTATION, 1)
    if values.shape not in (size, size[1:]):
        raise RequestError(
            400, f"{display_name}: has the size {values.shape[::-1]}, its image {size[:0:-1]}; draw on the image."
        )
    rounded, _ = round_labels(file, torch.as_tensor(values.reshape(size[1:]).astype(np.float64)))
    classes = rounded.numpy()
    if (classes != classes.astype(np.uint8)).any():
        raise RequestError(
            400, f"{display_name}: contains values that are not class numbers from 0 to 255; save a label map."
        )
    mask = Image.fromarray(classes.astype(np.uint8))
    exif = mask.getexif()
    if orientation != 1:
        exif[EXIF_ORIENTATION] = orientation
    mask.save(target, "PNG", exif=exif)
