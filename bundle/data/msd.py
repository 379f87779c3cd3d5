"""Datalist of a task of the Medical Segmentation Decathlon (Antonelli et al., doi:10.1038/s41467-022-30695-9).

Layouts: as published, ``dataset.json`` with ``imagesTr``, ``labelsTr`` and ``imagesTs``; of nnU-Net, which many tasks
are stored in, ``imagesTr/CASE_0000.nii.gz`` with one file per channel.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.io.volume_files import stem_of, volumes_in
from bundle.utils.label_names import ignored_value

from .datalist_file import Case, DatalistError, datalist_content, read_json
from .fold_assignment import split_cases
from .nnunet_regions import describe_regions, has_regions
from .pairing import skip_unlabeled
from .patients import named_patient
from .volume_lists import find_patients, folder_of, read_table

logger = logging.getLogger(__name__)


def prepare_msd(
    root: str | Path,
    *,
    labels: str | Path | None = None,
    patient: str | None = None,
    test_share: float = 0.2,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """List a task of the Decathlon. Its test images have no labels; they are listed as test cases to segment.

    Args:
        root: folder of the task, with ``dataset.json``.
        labels: table of structures, see :func:`bundle.io.label_tables.read_label_table`, in the place of the ``labels``
            of ``dataset.json``.
        patient: regular expression whose first group, in the name of an image, is the patient; None where every image
            is of another one, as far as is known.
        test_share: share of the labeled cases that is held out as test, from 0 to 1.
        folds: number of folds that the others are assigned to.
        seed: seed of the shuffle.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``.

    Raises:
        DatalistError: when ``dataset.json`` or the table cannot be used, there is no labeled case, or a number is out
            of range.
    """
    folder = folder_of(root, "dataset.json of the task")
    path = folder / "dataset.json"
    content = read_json(
        path,
        advice="name the folder of the task, or prepare one without dataset.json by python -m bundle prepare folder.",
    )
    channels = _channels(path, content)
    listed = isinstance(content.get("training"), list) and not has_channel_files(folder)
    parts = _listed(folder, content) if listed else _nnunet(folder, channels)
    known = find_patients(_require_cases(path, skip_unlabeled(parts["training"])), patient)
    table, named = (read_table(labels), None) if labels else describe_labels(path, content.get("labels"))
    share = 0.0 if any("label" in case for case in parts["test"]) else test_share
    split = split_cases(root, known, test_share=share, folds=folds, seed=seed)
    split["test"] += parts["test"]
    return datalist_content(root, split, seed=seed, modality=channels, table=table, labels=named)


def list_nnunet(root: str | Path) -> dict[str, Any]:
    """List a dataset in the raw layout of nnU-Net, without a split: its folds are not assigned.

    Images of ``imagesTs`` with a label in ``labelsTs`` are test cases; those without are cases to segment.

    Args:
        root: folder with ``dataset.json``, ``imagesTr`` and ``labelsTr``.

    Returns:
        The content of a datalist in MSD form, with paths relative to ``root``; with ``regions`` where the labels are
        regions, see :func:`bundle.data.nnunet_regions.describe_regions`.

    Raises:
        DatalistError: when ``dataset.json`` cannot be used, or there is no labeled case.
    """
    folder = Path(root)
    path = folder / "dataset.json"
    content = read_json(path)
    channels = _channels(path, content)
    parts = _nnunet(folder, channels)
    parts["training"] = _require_cases(path, skip_unlabeled(parts["training"]))
    labels: Any = content.get("labels")
    if has_regions(labels):
        values, regions = describe_regions(path, labels)
        return {**datalist_content(root, parts, seed=0, modality=channels, table=values), "regions": regions}
    table, named = describe_labels(path, labels)
    return datalist_content(root, parts, seed=0, modality=channels, table=table, labels=named)


def has_channel_files(folder: Path) -> bool:
    """Return whether images are stored as by nnU-Net, one file per channel, not as ``dataset.json`` lists them."""
    if not any(stem_of(file).endswith("_0000") for file in volumes_in(folder / "imagesTr")):
        return False
    path = folder / "dataset.json"
    listed = read_json(path).get("training") if path.is_file() else None
    first = listed[0] if isinstance(listed, list) and listed else None
    image = first.get("image") if isinstance(first, Mapping) else first
    return not (isinstance(image, str) and (folder / image).is_file())


def _require_cases(path: Path, cases: list[Case]) -> list[Case]:
    if not cases:
        raise DatalistError(f"{path}: lists no image with a label map, and {path.parent / 'imagesTr'} holds none.")
    return cases


def describe_labels(path: Path, labels: Any) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """Return the table of structures that the ``labels`` of a ``dataset.json`` amount to, and the names of the classes.

    Both forms are read, ``{"1": "liver"}`` (MSD) and ``{"liver": 1}`` (nnU-Net). The table is None where
    the values are 1, 2, ... already. ``ignore`` is kept in both, as in nnU-Net.

    Raises:
        DatalistError: when they have another form, such as the regions of nnU-Net, or ``ignore`` is not the highest
            value.
    """
    if not isinstance(labels, Mapping) or not labels:
        raise DatalistError(f"{path}: has no 'labels'; name the structures in a table, with --labels FILE.")
    pairs = [(name, value) if str(value).isdigit() else (value, name) for name, value in labels.items()]
    if not all(isinstance(name, str) and str(value).isdigit() for name, value in pairs):
        raise DatalistError(f"{path}: has the labels {labels!r}; name the structures in a table, with --labels FILE.")
    values = sorted((int(value), name) for name, value in pairs if int(value) > 0)
    try:
        ignored = ignored_value({name: int(value) for name, value in pairs})
    except ValueError as error:
        raise DatalistError(f"{path}: {error}") from error
    if ignored is not None:
        logger.info("%s: the value %d is ignored: losses and metrics leave its voxels out", path, ignored)
    if [value for value, _ in values] == list(range(1, len(values) + 1)):
        return None, {"0": "background", **{str(value): name for value, name in values}}
    return {name: [value] for value, name in values}, None


def _add(files: dict[Any, str], key: Any, file: Path) -> None:
    """Add a file.

    Raises:
        DatalistError: when there is another one of its name or channel.
    """
    if files.setdefault(key, str(file)) != str(file):
        raise DatalistError(f"{file}: is the same case and channel as {files[key]}; remove one.")


def _channels(path: Path, content: Mapping[str, Any]) -> list[str]:
    names = content.get("modality", content.get("channel_names", {"0": "image"}))
    if not isinstance(names, Mapping) or set(names) != {str(place) for place in range(len(names))} or not names:
        raise DatalistError(f"{path}: 'modality' or 'channel_names' must name the channels by '0', '1', ...")
    return [str(names[str(place)]) for place in range(len(names))]


def _listed(root: Path, content: Mapping[str, Any]) -> dict[str, list[Case]]:
    """Return the cases that a ``dataset.json`` lists, as far as their files are there."""
    parts: dict[str, list[Case]] = {}
    for section in ("training", "test"):
        parts[section] = []
        for item in content.get(section, []):
            entry = {"image": item} if isinstance(item, str) else item
            if not isinstance(entry, Mapping):
                raise DatalistError(
                    f"{root / 'dataset.json'}: the section {section!r} holds {item!r}, which is not a case."
                )
            files = {key: root / str(entry[key]) for key in ("image", "label") if key in entry}
            missing = [file for file in files.values() if not file.is_file()]
            if missing or "image" not in files:
                logger.warning("%s: skipped, since %s does not exist", item, missing[0] if missing else "an image")
            else:
                parts[section].append({**{key: str(file) for key, file in files.items()}, **named_patient(entry)})
    return parts


def _nnunet(root: Path, channels: list[str]) -> dict[str, list[Case]]:
    parts: dict[str, list[Case]] = {}
    for section, ending in (("training", "Tr"), ("test", "Ts")):
        labels: dict[str, str] = {}
        for file in volumes_in(root / f"labels{ending}"):
            _add(labels, stem_of(file), file)
        found: dict[str, dict[int, str]] = {}
        for file in volumes_in(root / f"images{ending}"):
            name, _, number = stem_of(file).rpartition("_")
            if number.isdigit():
                _add(found.setdefault(name, {}), int(number), file)
            else:
                logger.warning("%s: skipped, since its name ends with no number of a channel, such as _0000", file)
        for name in sorted(set(labels) - set(found)):
            logger.warning("%s: skipped, since there is no image of its name", labels[name])
        parts[section] = []
        for name, files in found.items():
            if set(files) != set(range(len(channels))):
                raise DatalistError(
                    f"{root / f'images{ending}'}: {name} has the channels {sorted(files)}, but there are "
                    f"{len(channels)}, from 0 on: {', '.join(channels)}."
                )
            image = [files[place] for place in range(len(channels))]
            label = {"label": labels[name]} if name in labels else {}
            parts[section].append({"image": image if len(image) > 1 else image[0], **label})
    return parts
