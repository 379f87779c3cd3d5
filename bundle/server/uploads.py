"""Checks of uploaded images and labels, before they reach the folder of studies."""

from __future__ import annotations

from pathlib import Path

from bundle.data.datalist_error import DatalistError
from bundle.io.images import read_image
from bundle.io.input_checks import BadInputError
from bundle.io.load_volume import LoadVolumed
from bundle.tasks.spine.discs.disc_errors import DiscFileError
from bundle.tasks.spine.discs.markups import read_markups

from .final_labels import read_classes
from .label_tasks import ENDINGS, PICTURE, SHOWN, VOLUME
from .request_names import file_name
from .server_errors import RequestError

MARKUPS = ".mrk.json"
"""Ending of discs as points of 3D Slicer, which are labels as well."""

CLASSES = ".classes.json"
"""Ending of the classes of a picture, which are labels as well, see :func:`.read_classes`."""

ANY_SPACING = (1e-3, 1e3)
"""Voxel sizes in mm that an upload may have; the models are stricter."""


def ending_of(name: str, kind: str) -> str | None:
    """Return the ending of a file name, or None when it is of no image of this kind."""
    return next((ending for ending in ENDINGS[kind] if name.lower().endswith(ending)), None)


def check_ending(name: str, kind: str) -> None:
    """Raise a :class:`.RequestError`, 400, for a file of another kind than this server serves."""
    if ending_of(name, kind) is None:
        raise RequestError(
            400, f"{name}: this server reads {SHOWN[kind]}; send such a file, or start a server for the other kind."
        )


def check_image(file: str | Path, kind: str, shown: str) -> None:
    """Read an uploaded image.

    Args:
        file: where the upload lies.
        kind: of the server.
        shown: name to call it by.

    Raises:
        RequestError: 400, when it is of another kind or cannot be read.
    """
    check_ending(shown, kind)
    try:
        if kind == PICTURE:
            read_image(file)
        else:
            LoadVolumed("image", spacing_range=ANY_SPACING)({"image": str(file)})
    except BadInputError as error:
        raise _refused(shown, file, error) from error


def check_label(file: str | Path, image: str | Path, kind: str, shown: str) -> None:
    """Read an uploaded label; it must lie on the grid of its image.

    Args:
        file: where the upload lies.
        image: the image that it belongs to.
        kind: of the server.
        shown: name to call it by.

    Raises:
        RequestError: 400, when it is of another kind, cannot be read or does not fit the image.
    """
    try:
        if kind == VOLUME and shown.lower().endswith(MARKUPS):
            read_markups(file)
            return
        if kind == PICTURE and shown.lower().endswith(CLASSES):
            read_classes(Path(file))
            return
        check_ending(shown, kind)
        if kind == VOLUME:
            LoadVolumed(("image", "label"), spacing_range=ANY_SPACING)({"image": str(image), "label": str(file)})
            return
        size, expected = (read_image(path).pixels.shape[:2] for path in (file, image))
    except (BadInputError, DatalistError, DiscFileError) as error:
        raise _refused(shown, file, error) from error
    if size != expected:
        raise RequestError(
            400,
            f"{shown}: is {size[1]} x {size[0]} pixels, its image {expected[1]} x {expected[0]}; draw on the image.",
        )


def _refused(shown: str, file: str | Path, error: Exception) -> RequestError:
    return RequestError(400, f"{type(error).__name__}: {str(error).replace(str(file), shown)}")


def upload_name(name: str | None, kind: str) -> str:
    """Return the file name of an upload; one without a name counts as the usual kind of file.

    Raises:
        RequestError: 400, when the name is no plain name or of another kind than this server serves.
    """
    plain = file_name(name, f"image{ENDINGS[kind][0]}")
    check_ending(plain, kind)
    return plain
