"""Images whose channels are stored in separate files, by how the names of these end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from keyslice_runtime.io.volume_files import stem_of, unread_volumes_in, volumes_in

from .datalist_file import DatalistError

MARKS = "_-"
"""Characters that may separate the name of a modality."""


@dataclass(frozen=True)
class Image:
    """An image of several files.

    Attributes:
        name: what the names of its files share; that of the folder where they share nothing.
        files: one per modality, in the order of the modalities; of a missing one, the path where it is expected.
        label: its label map, where there is one.
        missing: modalities without a file.
    """

    name: str
    files: list[str]
    label: str | None = None
    missing: tuple[str, ...] = ()


def find_images(root: Path, modalities: Sequence[str], *, label: str | None = None) -> list[Image]:
    """Find the images in a folder and in all below, sorted by path.

    Args:
        root: folder.
        modalities: how the names of the files end, in upper or lower case, e.g. ``flair`` for ``case_flair.nii.gz``,
            ``case_FLAIR.nii.gz`` or ``flair.nii.gz``.
        label: how the names of the label maps end; None to look for none.

    Returns:
        The images that have the file of a modality or more; those that lack one have ``missing``.

    Raises:
        DatalistError: when two files are the same modality of an image, such as ``a_t1.nii`` and ``a_t1.nii.gz``.
    """
    found = _group_files(root, [*modalities, *([] if label is None else [label])])
    return [
        Image(
            name or folder.name,
            [str(files.get(modality) or _expected(files, modality)) for modality in modalities],
            str(files[label]) if label is not None and label in files else None,
            tuple(modality for modality in modalities if modality not in files),
        )
        for (folder, name), files in sorted(found.items())
        if any(modality in files for modality in modalities)
    ]


def describe_missing(image: Image) -> str:
    """Return a message about an image that lacks files of modalities."""
    return f"{Path(image.files[0]).parent / image.name} lacks {', '.join(image.missing)}"


def find_other_volumes(root: Path, images: Sequence[Image]) -> tuple[list[Path], list[Path]]:
    """Return the volumes, in a folder and in all below, that are not a modality of an image.

    Args:
        root: folder.
        images: all images that :func:`find_images` found in it.

    Returns:
        Those that belong to no image, and those that belong to one by their names, such as its label map.
    """
    known = {file for image in images for file in image.files}
    names = {image.name.lower() for image in images}
    folders = {Path(file).parent for image in images if _named_by_folder(image) for file in image.files}
    alone: list[Path] = []
    beside: list[Path] = []
    for file in _files_below(root, lambda folder: [*volumes_in(folder), *unread_volumes_in(folder)]):
        if str(file) not in known:
            belongs = file.parent in folders or _extends(stem_of(file).lower(), names)
            (beside if belongs else alone).append(file)
    return alone, beside


def shared_name(names: Sequence[str]) -> str:
    """Return what names share up to the last mark before they differ, e.g. ``a_1`` of ``a_1_t1`` and ``a_1_t1ce``."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = "".join(letters[0] for letters in alike)
    return start[: max(start.rfind(mark) for mark in MARKS) + 1].rstrip(MARKS)


def _files_below(root: Path, list_files: Callable[[Path], list[Path]]) -> list[Path]:
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir())]
    return [file for folder in folders for file in list_files(folder)]


def _group_files(root: Path, endings: Sequence[str]) -> dict[tuple[Path, str], dict[str, Path]]:
    """Return the files by ending for every folder and every name without the ending."""
    found: dict[tuple[Path, str], dict[str, Path]] = {}
    for file in _files_below(root, volumes_in):
        stem = stem_of(file)
        ending = _ending_of(stem, endings)
        if ending is not None:
            files = found.setdefault((file.parent, stem[: -len(ending)].rstrip(MARKS)), {})
            if ending in files:
                raise DatalistError(f"{files[ending]} and {file} are the same modality; remove one of them.")
            files[ending] = file
    return found


def _ending_of(stem: str, endings: Sequence[str]) -> str | None:
    """Return the longest of the endings that a name has, in upper or lower case."""
    name = stem.lower()
    found = [ending for ending in endings if name == ending.lower() or _ends_with(name, ending.lower())]
    return max(found, key=len, default=None)


def _ends_with(name: str, ending: str) -> bool:
    return any(name.endswith(f"{mark}{ending}") for mark in MARKS)


def _expected(files: Mapping[str, Path], modality: str) -> Path:
    """Return where the file of a missing modality is expected, by the name of the file of another one."""
    ending, file = next(iter(files.items()))
    stem = stem_of(file)
    return file.with_name(stem[: -len(ending)] + modality + file.name[len(stem) :])


def _named_by_folder(image: Image) -> bool:
    """Return whether the files of an image have no name but those of the modalities."""
    file = Path(image.files[0])
    return image.name == file.parent.name and not _extends(stem_of(file), {image.name})


def _extends(stem: str, names: Collection[str]) -> bool:
    """Return whether a name is one of others, or begins with one of them and a mark."""
    return stem in names or any(stem[:place] in names for place, letter in enumerate(stem) if letter in MARKS)
