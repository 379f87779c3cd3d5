"""Ratings of the images in a study folder, from the table that the page of a run saves."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from bundle.data.case_review import CORRECT, FAIL, PASS, Rating, match_ratings, read_ratings

from .label_tasks import EXTENSIONS, find_images
from .server_errors import StudiesError


def find_studies(qc: str | Path | None) -> Path:
    """Return the folder of the images that a table names.

    Raises:
        DatalistError: if the table cannot be read.
        StudiesError: if there is no table, it names no images, or they are in several folders.
    """
    if qc is None:
        raise StudiesError("--studies is missing; pass the folder of the images, or the qc.csv of the page of a run.")
    folders = sorted({Path(rating.input).resolve().parent for rating in read_ratings(qc) if rating.input})
    if len(folders) != 1:
        found = f"its images are in {len(folders)} folders" if folders else "it names no images"
        raise StudiesError(f"{qc}: {found}; pass --studies with the one folder of the images.")
    return folders[0]


def rate_studies(qc: str | Path, studies: str | Path, kind: str) -> dict[str, Rating]:
    """Return the ratings of the images in a study folder by their ids.

    Args:
        qc: table of the ratings; those that failed or need correction must be in the folder.
        studies: folder of the images.
        kind: kind of the images, see :mod:`.label_tasks`.

    Raises:
        DatalistError: if the table cannot be read, or a case that failed or needs correction has no image.
    """
    images = {_image_id(file, kind): file for file in find_images(Path(studies), kind)}
    cases = {name: {"case": name, "image": str(file)} for name, file in images.items()}
    files = {os.path.realpath(file) for file in images.values()}
    needed = (FAIL, CORRECT)
    ratings = [
        rating
        for rating in read_ratings(qc)
        if rating.rating in needed or (rating.rating == PASS and _is_here(rating, files, images))
    ]
    return match_ratings(ratings, cases, qc)


def _is_here(rating: Rating, files: Collection[str], names: Collection[str]) -> bool:
    """Return whether a case is an image of the folder: by its file or, where that is gone, by its name."""
    image = rating.input.split(", ")[0]
    return os.path.realpath(image) in files if image and Path(image).exists() else rating.case in names


def _image_id(file: Path, kind: str) -> str:
    extension = next(known for known in EXTENSIONS[kind] if file.name.lower().endswith(known))
    return file.name[: -len(extension)]
