"""Reading and writing of datalists: JSON files in the form of the Medical Segmentation Decathlon (MSD)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.io.label_tables import LabelValues, class_labels
from bundle.io.volume_files import files_of
from bundle.utils.errors import BundleError

from .patients import named_patient

Case = dict[str, Any]
"""A case: ``"image"``, a path or a list of paths, mostly ``"label"`` and ``"case"``, its name, and further keys."""

SECTIONS = ("training", "validation", "test")
DESCRIPTION = ("modality", "channel_names", "label_values", "labels", "regions")
"""Keys that describe the images and classes of a dataset."""

CASE_KEYS = ("fold", "subset", "complete")
"""Keys of an item that are kept with the files, in addition to patient and group: its fold, the part of the dataset
that an evaluation counts it with, and whether its label names all that is in view."""

VALIDATION, TRAINING = 0, 1
"""Folds of a datalist with one validation set."""


class DatalistError(BundleError):
    """A dataset folder or datalist that cannot be used; the message names the file and what to do."""


def read_json(path: Path, *, advice: str = "pass --datalist FILE.") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: file, which may begin with a byte-order mark.
        advice: what to do when it cannot be read; ends the message.

    Raises:
        DatalistError: when it cannot be read, or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatalistError(f"{path}: cannot be read as JSON ({reason}); {advice}") from error
    if not isinstance(content, dict):
        raise DatalistError(f"{path}: is not a JSON object; {advice}")
    return content


def read_datalist(path: Path) -> dict[str, Any]:
    """Read a datalist.

    Raises:
        DatalistError: when the file cannot be read, or has no section of a datalist.
    """
    content = read_json(path)
    if not any(name in content for name in SECTIONS):
        raise DatalistError(
            f"{path}: is not a datalist; it needs the section 'training' and, for test cases, the section 'test'."
        )
    return content


def read_section(content: Mapping[str, Any], name: str, path: Path, root: Path | None = None) -> list[Case]:
    """Return the cases of a section of a datalist.

    Args:
        content: the datalist.
        name: name of the section.
        path: file of the datalist.
        root: folder that its paths are relative to; None for the folder of the file.

    Raises:
        DatalistError: when the section or an item has another form.
    """
    items = content.get(name, [])
    if not isinstance(items, list):
        raise DatalistError(f"{path}: the section {name!r} is not a list of cases.")
    return [_read_item(item, name, path, path.parent if root is None else root) for item in items]


def read_fold(case: Mapping[str, Any], path: Path, default: int) -> int:
    """Return the fold of a case.

    Raises:
        DatalistError: when it is not an integer.
    """
    fold = case.get("fold", default)
    if not isinstance(fold, int) or isinstance(fold, bool):
        raise DatalistError(f"{path}: {case['image']} has the fold {fold!r}; a fold is an integer.")
    return fold


def read_description(path: Path) -> dict[str, Any]:
    """Return what a datalist states about its channels and classes; nothing where there is no such file."""
    content = read_json(path) if path.is_file() else {}
    return {key: content[key] for key in DESCRIPTION if key in content}


def relative_files(files: str | Path | Sequence[str], root: str | Path) -> str | list[str]:
    """Return a path, or the list of paths of a case of several files, relative to a folder."""
    if isinstance(files, str | Path):
        return Path(os.path.relpath(files, root)).as_posix()
    return [Path(os.path.relpath(file, root)).as_posix() for file in files]


def relative_case(case: Mapping[str, Any], root: str | Path) -> Case:
    """Return a case as a datalist holds it: with paths relative to a folder, and without its name."""
    files = {key: relative_files(case[key], root) for key in ("image", "label") if key in case}
    return {**files, **{key: value for key, value in case.items() if key not in ("case", *files)}}


def datalist_content(
    root: str | Path,
    parts: Mapping[str, Iterable[Case]],
    *,
    seed: int,
    modality: Sequence[str] | None = None,
    table: LabelValues | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the content of a datalist, with paths relative to ``root``, sorted by them.

    Args:
        root: folder of the dataset.
        parts: cases by ``"training"``, ``"validation"`` and ``"test"``. Where there are validation cases, they become
            fold 0 and the training cases fold 1.
        seed: seed of the split.
        modality: names of the channels of an image.
        table: values in the label maps by structure, where they are not the classes; becomes ``label_values``.
        labels: names of the classes by their values, ``"0"`` among them; None for those of the table.
    """
    content: dict[str, Any] = {"seed": seed}
    if modality is not None:
        content["modality"] = {str(place): name for place, name in enumerate(modality)}
    if table is not None:
        content["label_values"] = dict(table)
    names = class_labels(table) if labels is None and table is not None else labels
    if names is not None:
        content["labels"] = dict(names)
    held_out = [{**case, "fold": VALIDATION} for case in parts.get("validation", [])]
    others = [{**case, "fold": TRAINING} if held_out else case for case in parts.get("training", [])]
    for section, cases in (("training", held_out + others), ("test", parts.get("test", []))):
        listed = [relative_case(case, root) for case in cases]
        content[section] = sorted(listed, key=lambda case: files_of(case["image"]))
    return content


def write_datalist(content: Mapping[str, Any], path: str | Path) -> None:
    """Write a datalist as JSON, one case per line; the folder is made when missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sections = ("training", "test")
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items() if key not in sections]
    for section in sections:
        cases = ",\n        ".join(json.dumps(item) for item in content[section])
        lines.append(f'"{section}": [\n        {cases}\n    ]' if cases else f'"{section}": []')
    Path(path).write_text("{\n    " + ",\n    ".join(lines) + "\n}\n", encoding="utf-8")


def _read_item(item: Any, section: str, path: Path, root: Path) -> Case:
    entry = {"image": item} if isinstance(item, str) else item
    if not isinstance(entry, Mapping) or "image" not in entry:
        raise DatalistError(f"{path}: the section {section!r} holds {item!r}; an item needs an 'image'.")
    image = entry["image"]
    channels = image if isinstance(image, list) else [image]
    if not channels or not all(isinstance(file, str) for file in [*channels, entry.get("label", "")]):
        raise DatalistError(
            f"{path}: the section {section!r} holds {item!r}; 'image' is one path or a list of paths, one per channel, "
            "and 'label' is one path."
        )
    paths = [str(root / file) for file in channels]
    files = {"image": paths if len(paths) > 1 else paths[0]}
    if "label" in entry:
        files["label"] = str(root / entry["label"])
    return {**files, **named_patient(entry), **{key: entry[key] for key in CASE_KEYS if key in entry}}
