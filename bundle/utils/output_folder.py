"""Folders for the outputs of a run, checked before the work."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from .errors import BundleError


def check_output_folder(option: str, folder: Path) -> None:
    """Check that a folder can be written to or, where there is none, be created.

    Args:
        option: option that names it, for the message.
        folder: the folder.

    Raises:
        BundleError: when it cannot.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise BundleError(
            f"{option} {folder} cannot be created or written to ({error}); pass another --{option}."
        ) from error
