"""Datasets that are read as they are, without a datalist: by their layout on disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.io.volume_files import unread_volumes_in, volumes_in

from .bids import is_bids, list_bids
from .datalist_file import SECTIONS, DatalistError, datalist_content, read_datalist, read_json
from .msd import has_channel_files, list_nnunet
from .pairing import pair_volumes, require_labels

logger = logging.getLogger(__name__)

DATASET = "dataset.json"

FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"), ("images", "masks"))
"""Pairs of folders with images and labels, those to look for first in front."""

LABEL_WORDS = ("label", "mask", "seg", "gt", "truth", "annot", "roi")
"""What the name of a folder of labels has in it, where the folders have other names."""

NAMES = {"nnunet": "raw layout of nnU-Net", "bids": "BIDS", "pair": "a folder of images and one of labels"}

KNOWN = "a dataset.json, volumes in imagesTr/labelsTr or images/labels, or sub-* of BIDS"

RELEASED = {
    "brats2018": ("*/*_flair.nii*", "*/*/*_flair.nii*", "*/*/*/*_flair.nii*"),
    "hvsmr": ("Ground truth", "*/Ground truth"),
    "malc": ("training-labels",),
}
"""What a folder of a challenge holds as it was released, by the name of its ``prepare`` command."""


def read_content(root: Path, datalist: str | Path | None = None) -> tuple[Path, dict[str, Any]]:
    """Return the content of a datalist, or what the layout of a folder amounts to.

    Args:
        root: folder of the dataset: with a ``dataset.json`` that lists its cases, in the raw layout of nnU-Net, in that
            of BIDS, or with a folder of images and one of labels.
        datalist: JSON file in MSD form; None to read the folder.

    Returns:
        The datalist, or the file or folder that describes the dataset; and the content in MSD form, with paths relative
        to ``root``. Cases of a folder have no folds.

    Raises:
        DatalistError: when the file cannot be used, or the folder has no such layout.
    """
    if datalist:
        return Path(datalist), read_datalist(Path(datalist))
    kind = layout_of(root)
    if kind is None:
        raise DatalistError(f"{root}: holds neither {KNOWN}; {_hint(root)}")
    if kind == "datalist":
        return root / DATASET, _require_list(root / DATASET)
    logger.info("%s: read as %s", root, NAMES[kind])
    return _list_layout(kind, root)


def layout_of(root: Path) -> str | None:
    """Return ``"datalist"``, ``"nnunet"``, ``"bids"`` or ``"pair"``; None for another layout."""
    path = root / DATASET
    if path.is_file():
        return "nnunet" if has_channel_files(root) and "seed" not in read_json(path) else "datalist"
    if find_pair(root) is not None:
        return "pair"
    return "bids" if is_bids(root) else None


def find_pair(root: Path) -> tuple[Path, Path] | None:
    """Return the folder of images and that of labels: of usual names, or the only two of which one is called labels."""
    for images, labels in FOLDERS:
        if volumes_in(root / images) and (root / labels).is_dir():
            return root / images, root / labels
    below = [path for path in sorted(root.glob("*")) if path.is_dir() and volumes_in(path)]
    named = [path for path in below if any(word in path.name.lower() for word in LABEL_WORDS)]
    others = [path for path in below if path not in named]
    return (others[0], named[0]) if len(named) == len(others) == 1 else None


def describe_dataset(root: Path) -> tuple[Path, dict[str, Any]]:
    """Return what describes channels and classes of a folder without a datalist, and its content; nothing where none.

    Raises:
        DatalistError: when a file cannot be read.
    """
    kind = layout_of(root) if root.is_dir() else None
    if kind in ("nnunet", "bids"):
        return _list_layout(str(kind), root)
    path = root / DATASET
    return path, read_json(path) if path.is_file() else {}


def _list_layout(kind: str, root: Path) -> tuple[Path, dict[str, Any]]:
    if kind == "nnunet":
        return root / DATASET, list_nnunet(root)
    return root, list_bids(root) if kind == "bids" else _list_pair(root, *(find_pair(root) or ()))


def _list_pair(root: Path, images: Path, labels: Path) -> dict[str, Any]:
    for file in unread_volumes_in(images):
        logger.warning("%s: skipped, since its format is not read", file)
    return datalist_content(root, {"training": require_labels(pair_volumes(images, labels), labels)}, seed=0)


def _require_list(path: Path) -> dict[str, Any]:
    refuse_unlisted(path, read_json(path))
    return read_datalist(path)


def refuse_unlisted(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a ``dataset.json`` of nnU-Net, which lists no cases, where its images are no volumes that can be read.

    Args:
        path: the file.
        content: its content.

    Raises:
        DatalistError: with what to do about 2D images.
    """
    if "channel_names" in content and not any(name in content for name in SECTIONS):
        ending = content.get("file_ending", ".nii.gz")
        raise DatalistError(
            f"{path}: is of nnU-Net, and {path.parent / 'imagesTr'} holds no volume CASE_0000{ending} of a format that "
            "is read; 2D images are for the tasks of images: python -m bundle prepare images "
            f"{path.parent} --output FILE"
        )


def _hint(root: Path) -> str:
    """Return what to do about a folder of another layout."""
    deeper = next((path for path in sorted(root.glob("*")) if path.is_dir() and layout_of(path) is not None), None)
    if deeper is not None:
        return f"{deeper} does; pass --dataset_dir {deeper}."
    for name, patterns in RELEASED.items():
        if any(next(root.glob(pattern), None) for pattern in patterns):
            return f"it looks like the release of {name}; list it with: python -m bundle prepare {name} {root}"
    return "name the folder that does, or pass --datalist FILE."
