"""Images whose channels are stored in separate files, by how the names of these end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from bundle.io.volume_files import stem_of, volumes_in

from .datalist_file import DatalistError

MARKS = "_-"
"""Characters that may separate the name of a modality."""


@dataclass(frozen=True)
class Image:
    """An image of several files.

    Attributes:
        name: what the names of its files share; that of the folder where they share nothing.
        files: one per modality, in the order of the modalities.
        label: its label map, where there is one.
    """

    name: str
    files: list[str]
    label: str | None = None


def find_images(root: Path, modalities: Sequence[str], *, label: str | None = None) -> list[Image]:
    """Find the images in a folder and in all below, sorted by path.

    Args:
        root: folder.
        modalities: how the names of the files end, e.g. ``flair`` for ``case_flair.nii.gz`` or ``flair.nii.gz``.
        label: how the names of the label maps end; None to look for none.

    Returns:
        The images that have files of all modalities. Those that lack one are skipped; see :func:`missing_modalities`.

    Raises:
        DatalistError: when two files are the same modality of an image, such as ``a_t1.nii`` and ``a_t1.nii.gz``.
    """
    found = _group_files(root, [*modalities, *([] if label is None else [label])])
    return [
        Image(
            name or folder.name,
            [str(files[modality]) for modality in modalities],
            str(files[label]) if label is not None and label in files else None,
        )
        for (folder, name), files in sorted(found.items())
        if all(modality in files for modality in modalities)
    ]


def missing_modalities(root: Path, modalities: Sequence[str]) -> list[str]:
    """Return a message for every image in a folder, and in all below, that lacks the file of a modality."""
    return [
        f"{folder / name} lacks {', '.join(modality for modality in modalities if modality not in files)}"
        for (folder, name), files in sorted(_group_files(root, modalities).items())
        if len(files) < len(modalities)
    ]


def shared_name(names: Sequence[str]) -> str:
    """Return what names share up to the last mark before they differ, e.g. ``a_1`` of ``a_1_t1`` and ``a_1_t1ce``."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in alike)
    return start[: max(start.rfind(mark) for mark in MARKS) + 1].rstrip(MARKS)


def _group_files(root: Path, endings: Sequence[str]) -> dict[tuple[Path, str], dict[str, Path]]:
    """Return the files by ending for every folder and every name without the ending."""
    found: dict[tuple[Path, str], dict[str, Path]] = {}
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for file in volumes_in(folder):
            stem = stem_of(file)
            for ending in endings:
                if stem == ending or any(stem.endswith(f"{mark}{ending}") for mark in MARKS):
                    files = found.setdefault((folder, stem[: -len(ending)].rstrip(MARKS)), {})
                    if ending in files:
                        raise DatalistError(f"{files[ending]} and {file} are the same modality; remove one of them.")
                    files[ending] = file
    return found
