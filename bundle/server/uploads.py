"""Checks of uploaded images and labels before they are stored in the study folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle.io.images import read_image
from bundle.io.input_checks import BadInputError
from bundle.io.load_volume import LoadVolumed
from bundle.tasks.spine.discs import Disc, nearest_voxel, read_markups
from bundle.utils.errors import BundleError

from .annotations import ANY_SPACING
from .final_labels import read_classes
from .label_kinds import CLASSES, EXTENSIONS_BY_KIND, MARKUPS
from .label_tasks import EXTENSIONS, FORMAT_NAMES, IMAGE, VOLUME
from .request_names import get_base_name
from .server_errors import RequestError


def find_extension(name: str, kind: str) -> str | None:
    """Return the extension of a file name, or None if it is not that of an image of this kind."""
    return next((extension for extension in EXTENSIONS[kind] if name.lower().endswith(extension)), None)


def check_extension(name: str, kind: str) -> None:
    """Raise a :class:`.RequestError`, 400, for a file of another kind."""
    if find_extension(name, kind) is None:
        raise RequestError(
            400, f"{name}: this server reads {FORMAT_NAMES[kind]}; send such a file, or start another server."
        )


def check_image(file: str | Path, kind: str, display_name: str) -> None:
    """Read an uploaded image.

    Args:
        file: path of the upload.
        kind: kind of images of the server.
        display_name: name of the upload in error messages.

    Raises:
        RequestError: 400, if it is of another kind or cannot be read.
    """
    check_extension(display_name, kind)
    try:
        if kind == IMAGE:
            read_image(file)
        else:
            LoadVolumed("image", spacing_range=ANY_SPACING)({"image": str(file)})
    except BadInputError as error:
        raise _invalid_upload(display_name, file, error) from error


def check_label(file: str | Path, image: str | Path, kind: str, display_name: str) -> None:
    """Read an uploaded label, which must be on the grid of its image.

    Args:
        file: path of the upload.
        image: path of its image.
        kind: kind of images of the server.
        display_name: name of the upload in error messages.

    Raises:
        RequestError: 400, if it is of another kind, cannot be read or does not fit the image.
    """
    try:
        if kind == VOLUME and display_name.lower().endswith(EXTENSIONS_BY_KIND[MARKUPS]):
            _check_points(read_markups(file), image, display_name)
            return
        if kind == IMAGE and display_name.lower().endswith(EXTENSIONS_BY_KIND[CLASSES]):
            read_classes(Path(file))
            return
        check_extension(display_name, kind)
        if kind == VOLUME:
            LoadVolumed(("image", "label"), spacing_range=ANY_SPACING)({"image": str(image), "label": str(file)})
            return
        size, expected = (read_image(path).pixels.shape[:2] for path in (file, image))
    except BundleError as error:
        raise _invalid_upload(display_name, file, error) from error
    if size != expected:
        raise RequestError(
            400,
            f"{display_name}: has {size[1]} x {size[0]} pixels, its image {expected[1]} x {expected[0]}; "
            "draw on the image.",
        )


def _check_points(discs: Sequence[Disc], image: str | Path, display_name: str) -> None:
    """Raise a RequestError if all discs are outside an image."""
    volume = LoadVolumed("image", spacing_range=ANY_SPACING)({"image": str(image)})["image"]
    voxels = [nearest_voxel(disc, volume.affine.numpy()) for disc in discs]
    sizes = volume.shape[1:]
    if voxels and not any(all(0 <= i < size for i, size in zip(voxel, sizes, strict=True)) for voxel in voxels):
        raise RequestError(400, f"{display_name}: has no point inside its image; send the points of this image, in mm.")


def _invalid_upload(display_name: str, file: str | Path, error: Exception) -> RequestError:
    return RequestError(400, str(error).replace(str(file), display_name))


def get_upload_name(name: str | None, kind: str) -> str:
    """Return the file name of an upload; without a name, one with the first extension of the kind.

    Raises:
        RequestError: 400, if the name is invalid or that of another kind of file.
    """
    base_name = get_base_name(name, f"image{EXTENSIONS[kind][0]}")
    check_extension(base_name, kind)
    return base_name
