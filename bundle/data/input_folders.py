"""Images at any depth of a folder, those of a BIDS dataset, and those that a pattern names."""

from __future__ import annotations

import glob
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bundle.io.dicom_headers import folders_below
from bundle.io.volume_files import stem_of, volumes_in

logger = logging.getLogger(__name__)

BIDS_FOLDERS = ("sub-*/anat", "sub-*/ses-*/anat")
LABELS = ("dseg", "probseg", "mask", "defacemask")
"""Suffixes of BIDS files that are no images."""

SUMMARY = "summary.json"
"""File of a folder of results."""


def matching_files(pattern: str | Path) -> list[Path]:
    """Return the files and folders that a pattern such as ``DIR/sub-*/anat/*_T1w.nii.gz`` names, sorted."""
    return sorted(map(Path, glob.glob(str(pattern), recursive=True)))


def images_below(
    root: Path, list_folder: Callable[[Path], Sequence[Path]], output_dir: str | Path | None = None
) -> list[Path]:
    """Return the images in the folders below a folder, sorted.

    Hidden folders and folders of results are left out; links are followed, but no folder is listed twice.

    Args:
        root: the folder, whose own images are not listed.
        list_folder: lists the images of a folder.
        output_dir: where results will go; what it contains is left out.
    """
    results = None if output_dir is None else Path(str(output_dir)).resolve()
    found: list[Path] = []
    for folder in folders_below(root)[1:]:
        images = list_folder(folder)
        if not images or results in (folder.resolve(), *folder.resolve().parents):
            continue
        if _holds_results(folder):
            logger.info("%s: left out, it holds the results of a run", folder)
            continue
        found += images
    return sorted(found)


def bids_images(root: Path) -> list[Path]:
    """Return the volumes in the ``anat`` folders of a BIDS dataset, without segmentations; none of another folder."""
    folders = [folder for pattern in BIDS_FOLDERS for folder in sorted(root.glob(pattern))]
    found = [file for folder in folders for file in volumes_in(folder) if _suffix(file) not in LABELS]
    counts = Counter(map(_suffix, found))
    if len(counts) > 1:
        logger.warning(
            "%s: lists images of several kinds, %s; to list one, pass a pattern in quotes, such as --input '%s'",
            root,
            ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())),
            root / "sub-*" / "**" / f"*_{min(counts)}.nii.gz",
        )
    return sorted(found)


def _suffix(file: Path) -> str:
    return stem_of(file).rpartition("_")[2]


def _holds_results(folder: Path) -> bool:
    try:
        content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "failures" in content
