"""Items to check, from a folder or a datalist as they are listed: a gap is a finding, not an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bundle.data.datalist_file import SECTIONS, DatalistError, read_json, relative_files
from bundle.data.layouts import find_pair, layout_of, read_content, refuse_unlisted
from bundle.data.pairing import IMAGE_ENDINGS, LABEL_SUFFIXES, MASK_SUFFIXES, image_name, images_in, match_labels
from bundle.data.patients import find_subject, patients_of
from bundle.io.label_tables import value_map
from bundle.io.volume_files import NIFTI, stem_of, volumes_in

FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"), ("images", "masks"))
"""Names of pairs of folders with images and labels."""

POINT_ENDINGS = (".json", ".csv")
POINT_MARKS = ("label-disc", "labels-disc", "_discs.")
"""What names of files with points of discs have in them."""

KINDS = ("volumes", "images", "discs")


@dataclass(frozen=True)
class Item:
    """An item as a dataset lists it.

    Attributes:
        name: path of the image from the folder of the dataset on.
        images: paths of the image, or of its channels, each in its own file.
        label: path of the label; None where there is none.
        split: section that lists it: ``"training"``, ``"validation"``, ``"test"`` or, with its fold, ``"fold 0"``.
        kind: one of :data:`KINDS`.
        classes: 1 or 0 by the name of every class, where the complete image is classified.
        patient: patient, if the dataset names one.
        needs_label: whether an item of this split is of no use without a label.
    """

    name: str
    images: tuple[str, ...]
    label: str | None
    split: str
    kind: str
    classes: Mapping[str, Any] | None = None
    patient: str | None = None
    needs_label: bool = True


@dataclass(frozen=True)
class Listing:
    """What a dataset lists.

    Attributes:
        source: the datalist, or the folder where there is none.
        items: in the order of the datalist, or by name.
        label_names: value of every class by its name, from the datalist; None if it has none.
        orphans: labels without an image.
        label_values: values in the label maps by the name of the class, if the datalist has them.
        channels: number of channels of an image, where the datalist names them; else 0.
    """

    source: Path
    items: tuple[Item, ...]
    label_names: Mapping[str, int] | None
    orphans: tuple[str, ...] = ()
    label_values: Mapping[str, Any] | None = None
    channels: int = 0


def list_items(dataset_dir: str | Path, datalist: str | Path | None = None) -> Listing:
    """List the items of a dataset.

    Args:
        dataset_dir: folder of the dataset. Without ``datalist``, its ``dataset.json`` is read; without that, images and
            labels are paired by name in ``imagesTr/labelsTr``, ``images/labels`` or ``images/masks``, in the folder or,
            where it has none of these, in all below. The raw layout of nnU-Net and BIDS are read as well.
        datalist: JSON file in MSD form, with paths relative to ``dataset_dir``.

    Raises:
        DatalistError: when folder or datalist cannot be read, or there is no item.
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise DatalistError(f"dataset_dir {str(dataset_dir)!r} is not a folder; name the folder of the dataset.")
    path = Path(datalist) if datalist else root / "dataset.json"
    kind = None if datalist else layout_of(root)
    if kind in ("nnunet", "bids"):
        listing = _from_content(root, *read_content(root))
    else:
        listing = _from_datalist(root, path) if datalist or path.is_file() else _from_folders(root)
    if not listing.items:
        raise DatalistError(f"{listing.source}: lists no item to check.")
    return listing


def _from_datalist(root: Path, path: Path) -> Listing:
    content = read_json(path, advice="name another --datalist.")
    refuse_unlisted(path, content)
    if not any(isinstance(content.get(name), list) for name in SECTIONS):
        raise DatalistError(f"{path}: is not a datalist; it needs a list 'training', 'validation' or 'test'.")
    return _from_content(root, path, content)


def _from_content(root: Path, path: Path, content: Mapping[str, Any]) -> Listing:
    entries = [(section, entry) for section in SECTIONS for entry in content.get(section, []) or []]
    items = [_listed(root, path, section, entry) for section, entry in entries]
    patients = patients_of([entry if isinstance(entry, dict) else {"image": entry} for _, entry in entries])
    items = [replace(item, patient=patient) for item, patient in zip(items, patients, strict=True)]
    names, values = _label_names(content.get("labels")), content.get("label_values")
    if values is not None:
        try:
            value_map(values, names)
        except (AttributeError, ValueError) as error:
            raise DatalistError(f"{path}: 'label_values' make no sense ({error}).") from error
    channels = content.get("modality", content.get("channel_names")) or ()
    return Listing(path, tuple(items), names, label_values=values, channels=len(channels))


def _listed(root: Path, path: Path, section: str, entry: Any) -> Item:
    values: Any = {"image": entry} if isinstance(entry, str) else entry
    image = values.get("image") if isinstance(values, dict) else None
    images = [image] if isinstance(image, str) else image
    label = values.get("label") if isinstance(values, dict) else None
    if not isinstance(images, list) or not images or not all(isinstance(part, str) for part in [*images, label or ""]):
        raise DatalistError(
            f"{path}: the section {section!r} holds {entry!r}; an item needs an 'image', and paths are strings."
        )
    return Item(
        name=images[0],
        images=tuple(str(root / part) for part in images),
        label=str(root / label) if label else None,
        split=f"fold {values['fold']}" if "fold" in values and section == "training" else section,
        kind=_kind(images[0], label),
        classes=values.get("classes"),
        needs_label=section != "test",
    )


def _kind(image: str, label: str | None) -> str:
    if image.lower().endswith(IMAGE_ENDINGS):
        return "images"
    name = Path(label or "").name.lower()
    marked = name.endswith(NIFTI) and any(mark in name for mark in POINT_MARKS)
    return "discs" if name.endswith(POINT_ENDINGS) or marked else "volumes"


def _label_names(labels: Any) -> dict[str, int] | None:
    """Return the classes of a datalist, which maps values to names (MSD) or names to values (nnU-Net)."""
    if not isinstance(labels, dict) or not labels:
        return None
    pairs = [(name, value) if isinstance(value, int) else (value, name) for name, value in labels.items()]
    if not all(isinstance(name, str) and str(value).isdigit() for name, value in pairs):
        return None
    return {str(name): int(value) for name, value in pairs}


def _from_folders(root: Path) -> Listing:
    below = sorted(folder for folder in root.rglob("*") if folder.is_dir())
    found = find_pair(root)
    pairs = _pairs([root]) or ([found] if found else _pairs(below))
    if not pairs:
        known = " or ".join("/".join(pair) for pair in FOLDERS)
        raise DatalistError(f"{root}: holds neither a dataset.json nor images in {known}; pass --datalist FILE.")
    items: list[Item] = []
    orphans: list[str] = []
    for images, labels in pairs:
        paired, unused = _pair(root, images, labels)
        items += paired
        orphans += unused
    return Listing(root, tuple(items), None, tuple(orphans))


def _pairs(parents: Sequence[Path]) -> list[tuple[Path, Path]]:
    return [
        (parent / images, parent / labels)
        for parent in parents
        for images, labels in FOLDERS
        if (parent / labels).is_dir() and _files(parent / images)
    ]


def _files(folder: Path) -> list[Path]:
    return images_in(folder) or volumes_in(folder)


def _pair(root: Path, images: Path, labels: Path) -> tuple[list[Item], list[str]]:
    """Pair by name; also return the labels that belong to no image."""
    is_flat = bool(images_in(images))
    name = image_name if is_flat else (lambda file: stem_of(file).lower())
    known = _files(labels)
    suffixes = MASK_SUFFIXES if is_flat else LABEL_SUFFIXES
    matches = match_labels(_files(images), known, name=name, suffixes=suffixes)
    items = []
    for image, found in matches:
        relative = str(relative_files(image, root))
        items.append(
            Item(
                name=relative,
                images=(str(image),),
                label=str(found[0]) if found else None,
                split="training",
                kind="images" if is_flat else "volumes",
                patient=find_subject(relative),
            )
        )
    used = {label for _, found in matches for label in found[:1]}
    return items, [str(file) for file in known if file not in used]
