"""Pairing of images and labels by the names of their files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bundle.io.volume_files import files_of, names_with, stem_of, volumes_in

from .datalist_file import Case, DatalistError

logger = logging.getLogger(__name__)

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Endings of the files in a folder that count as 2D images."""

UNREAD_IMAGES = (
    *(".webp", ".gif", ".jp2", ".j2k", ".jpe", ".jfif", ".heic", ".heif", ".avif", ".ppm", ".pgm", ".tga"),
    *(".svs", ".ndpi", ".dng", ".nef", ".cr2", ".dcm"),
)
"""Endings of other 2D images; a list of cases names them, so that they are reported."""

NOT_IMAGES = ("_superpixels",)
"""How the names of files end that are stored among images but are none: ISIC's superpixels."""

MASK_SUFFIXES = ("", "_segmentation", "_lesion", "_mask", "_label", "_seg")
"""What the name of a mask may append to the name of its 2D image."""

LABEL_SUFFIXES = ("", "_glm", "-label", "_label", "_labels", "_seg", "_mask")
"""What the name of a label map may append to the name of its volume."""


def images_in(folder: Path) -> list[Path]:
    """List the 2D images of a folder by name, without hidden files and ISIC's superpixels."""
    return sorted(folder / name for name in read_image_names(folder))


def unread_images_in(folder: Path) -> list[Path]:
    """List the files of a folder that are 2D images, but end with none of :data:`IMAGE_ENDINGS`."""
    return sorted(folder / name for name in names_with(folder, UNREAD_IMAGES))


def read_image_names(folder: Path) -> Iterator[str]:
    """Yield the names of the files that :func:`images_in` lists, in any order."""
    return (name for name in names_with(folder, IMAGE_ENDINGS) if not name.rpartition(".")[0].endswith(NOT_IMAGES))


def image_names(folder: Path) -> Iterator[str]:
    """Yield the names of the 2D images of a folder, those of formats that may not be read among them, in any order."""
    yield from read_image_names(folder)
    others = {file.stem: file.name for file in unread_images_in(folder)}
    for name in read_image_names(folder) if others else ():
        others.pop(name.rpartition(".")[0], None)
    yield from others.values()


def match_labels(
    images: Iterable[Path], labels: Iterable[Path], *, name: Callable[[Path], str], suffixes: Sequence[str] = ("",)
) -> list[tuple[Path, list[Path]]]:
    """Return the labels that fit every image.

    Args:
        images: files of the images.
        labels: files of the labels.
        name: name of a file that is compared.
        suffixes: what the name of a label may append to that of its image.
    """
    by_name: dict[str, list[Path]] = {}
    for label in labels:
        by_name.setdefault(name(label), []).append(label)
    return [
        (image, [label for suffix in suffixes for label in by_name.get(name(image) + suffix, [])]) for image in images
    ]


def pair_files(
    images: Iterable[Path], labels: Iterable[Path], *, name: Callable[[Path], str], suffixes: Sequence[str] = ("",)
) -> list[Case]:
    """Return a case for every image, with its label where there is one; see :func:`match_labels`.

    Raises:
        DatalistError: when an image has several labels.
    """
    cases, known = [], list(labels)
    matches = match_labels(images, known, name=name, suffixes=suffixes)
    used = {label for _, found in matches for label in found}
    for label in known:
        if label not in used:
            logger.warning("%s: skipped, since there is no image of its name", label)
    for image, found in matches:
        if len(found) > 1:
            raise DatalistError(f"{image}: has several labels: {', '.join(map(str, found))}; remove all but one.")
        cases.append({"image": str(image), **({"label": str(found[0])} if found else {})})
    return cases


def pair_volumes(images: Path, labels: Path) -> list[Case]:
    """Pair the volumes of a folder with the label maps of another, whose names may append :data:`LABEL_SUFFIXES`.

    Returns:
        The cases, by name; those that have no label map have no ``"label"``.

    Raises:
        DatalistError: when an image has several label maps.
    """
    return pair_files(volumes_in(images), volumes_in(labels), name=stem_of, suffixes=LABEL_SUFFIXES)


def pair_images(images: Path, masks: Path) -> list[Case]:
    """Pair the 2D images of a folder with the masks of another, whose names may append :data:`MASK_SUFFIXES`.

    Raises:
        DatalistError: when an image has no mask or several, or two images have one name.
    """
    found = images_in(images)
    for file in unread_images_in(images):
        logger.warning("%s: skipped, since it ends with none of %s", file, ", ".join(IMAGE_ENDINGS))
    stems = Counter(image.stem for image in found)
    doubles = [image for image in found if stems[image.stem] > 1]
    if doubles:
        raise DatalistError(f"{doubles[-1]}: another image in this folder has the same name; remove one of them.")
    cases = pair_files(found, images_in(masks), name=image_name, suffixes=MASK_SUFFIXES)
    return require_labels(cases, masks)


def image_name(file: Path) -> str:
    """Return the name by which a 2D image and its mask are paired; nnU-Net appends ``_0000`` to that of the image."""
    return file.stem.lower().removesuffix("_0000")


def require_labels(cases: Sequence[Case], folder: Path) -> list[Case]:
    """Return the cases.

    Args:
        cases: cases.
        folder: folder of the labels, for the message.

    Raises:
        DatalistError: when a case has no label.
    """
    missing = [Path(case["image"]).name for case in cases if "label" not in case]
    if missing:
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DatalistError(f"{folder}: no label for {len(missing)} images: {listed}; remove them or add their labels.")
    return list(cases)


def skip_unlabeled(cases: Sequence[Case]) -> list[Case]:
    """Return the cases with a label map; the others are logged."""
    for case in cases:
        if "label" not in case:
            logger.warning("%s: skipped, since it has no label map", files_of(case["image"])[0])
    return [case for case in cases if "label" in case]
