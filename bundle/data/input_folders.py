"""Images at any depth of a folder, those of a BIDS dataset, and those that a pattern names."""

from __future__ import annotations

import glob
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from bundle.io.dicom_headers import folders_below
from bundle.io.volume_files import ENDINGS, stem_of
from bundle.utils.packed_names import PackedNames

logger = logging.getLogger(__name__)

BIDS_FOLDERS = ("sub-*/anat", "sub-*/ses-*/anat")
LABELS = ("dseg", "probseg", "mask", "defacemask")
"""Suffixes of BIDS files that are no images."""

SUMMARY = "summary.json"
"""File of a folder of results."""

ListNames = Callable[[Path], Iterable[str]]
"""Lists the names of the images of a folder, in any order."""


class Unlisted:
    """Images in folders below that are not listed.

    Attributes:
        count: their number.
        first: the first of them by name, relative to the folder; None if there are none.
    """

    def __init__(self) -> None:
        self.count, self.first = 0, None  # type: int, str | None

    def add(self, name: str) -> None:
        """Count an image."""
        self.count += 1
        self.first = name if self.first is None else min(self.first, name, key=lambda path: path.split("/"))


def matching_files(pattern: str | Path) -> PackedNames:
    """Return the files and folders that a pattern such as ``DIR/sub-*/anat/*_T1w.nii.gz`` names."""
    return PackedNames(Path(found).as_posix() for found in glob.iglob(str(pattern), recursive=True))


def names_below(root: Path, list_names: ListNames, output_dir: str | Path | None = None) -> Iterator[str]:
    """Yield the images in the folders below a folder, folder by folder, by their paths relative to it.

    Hidden folders and folders of results are left out; links are followed, but no folder is listed twice.

    Args:
        root: the folder, whose own images are not listed.
        list_names: lists the images of a folder.
        output_dir: where results will go; what it contains is left out.
    """
    results = None if output_dir is None else Path(str(output_dir)).resolve()
    for folder in folders_below(root):
        if folder == root:
            continue
        place = folder.relative_to(root).as_posix()
        for number, name in enumerate(list_names(folder)):
            if number == 0 and _is_left_out(folder, results):
                break
            yield f"{place}/{name}"


def bids_names(root: Path, names: Iterable[str], others: Unlisted) -> Iterator[str]:
    """Yield the volumes in the ``anat`` folders of a BIDS dataset, without segmentations; none of another folder.

    Args:
        root: the dataset, for a warning if there are images of several suffixes.
        names: volumes by their paths relative to it.
        others: counts the others.
    """
    counts: Counter[str] = Counter()
    for name in names:
        path = PurePosixPath(name)
        is_image = path.name.lower().endswith(ENDINGS) and _suffix(path) not in LABELS
        if is_image and any(_fits(path.parent, pattern) for pattern in BIDS_FOLDERS):
            counts[_suffix(path)] += 1
            yield name
        else:
            others.add(name)
    if len(counts) > 1:
        logger.warning(
            "%s: lists images of several kinds, %s; to list one, pass a pattern in quotes, such as --input '%s'",
            root,
            ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())),
            root / "sub-*" / "**" / f"*_{min(counts)}.nii.gz",
        )


def _fits(folder: PurePosixPath, pattern: str) -> bool:
    parts = pattern.split("/")
    return len(parts) == len(folder.parts) and all(map(fnmatchcase, folder.parts, parts))


def _suffix(file: PurePosixPath) -> str:
    return stem_of(file.name).rpartition("_")[2]


def _is_left_out(folder: Path, results: Path | None) -> bool:
    if results in (folder.resolve(), *folder.resolve().parents):
        return True
    if not _holds_results(folder):
        return False
    logger.info("%s: left out, it holds the results of a run", folder)
    return True


def _holds_results(folder: Path) -> bool:
    try:
        content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "failures" in content
