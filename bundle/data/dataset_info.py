"""Names of the structures and modalities of a dataset, from its datalist."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.utils.label_names import IGNORE, ignored_value, structures_of

from .datalist_file import DatalistError, read_json
from .layouts import describe_dataset


def dataset_labels(dataset_dir: str | Path, datalist: str | Path | None = None) -> dict[str, int]:
    """Return the values of the structures by their names, without the background, from the ``labels`` of a dataset.

    Args:
        dataset_dir: folder with ``dataset.json``.
        datalist: datalist to read first.

    Returns:
        The structures, in the order of their values, which count from 1, without ``ignore``. Both forms are read:
        ``{"0": "background", "1": "liver"}`` (MSD) and ``{"background": 0, "liver": 1}`` (nnU-Net).

    Raises:
        DatalistError: when no file has ``labels``, or they do not count from 0.
    """
    path, labels = _find_entry(("labels",), dataset_dir, datalist)
    if not isinstance(labels, Mapping):
        raise DatalistError(f"{path}: has no 'labels' with the names of the structures; pass --label_names.")
    pairs = [(_as_integer(a), b) if _as_integer(b) is None else (_as_integer(b), a) for a, b in labels.items()]
    values = sorted((value, str(name)) for value, name in pairs if value is not None)
    names = {name: value for value, name in values}
    if list(names.values()) != list(range(len(labels))) or not set(names) - {IGNORE, values[0][1]}:
        raise DatalistError(f"{path}: 'labels' must count from 0, the background, got {dict(labels)}.")
    _ignored_value(path, names)
    return structures_of(names)


def labels_file(dataset_dir: str | Path, datalist: str | Path | None = None) -> Path | None:
    """Return the file, or the folder, whose ``labels`` name the structures of a dataset; None where none does.

    Raises:
        DatalistError: when a file cannot be read.
    """
    path, labels = _find_entry(("labels",), dataset_dir, datalist)
    return None if labels is None else path


def dataset_ignore_label(dataset_dir: str | Path, datalist: str | Path | None = None) -> int | None:
    """Return the value of ``ignore`` in the ``labels`` of a dataset: voxels that nobody labeled, as in nnU-Net.

    Args:
        dataset_dir: folder with ``dataset.json``.
        datalist: datalist to read first.

    Returns:
        The value; None where the dataset has none, or where its ``label_values`` name it.

    Raises:
        DatalistError: when a file cannot be read, or the value is not the highest.
    """
    path, labels = _find_entry(("labels",), dataset_dir, datalist)
    if not isinstance(labels, Mapping) or IGNORE in (dataset_label_values(dataset_dir, datalist) or {}):
        return None
    pairs = [(b, a) if _as_integer(b) is None else (a, b) for a, b in labels.items()]
    return _ignored_value(path, {str(name): _as_integer(value) for name, value in pairs})


def dataset_modalities(dataset_dir: str | Path, datalist: str | Path | None = None) -> list[str]:
    """Return the names of the channels of an image, from the ``modality`` or ``channel_names`` of a dataset.

    Args:
        dataset_dir: folder with ``dataset.json``.
        datalist: datalist to read first.

    Returns:
        The names in the order of the channels; one, ``"image"``, where the dataset names none.

    Raises:
        DatalistError: when a file cannot be read, or the names have another form.
    """
    path, names = _find_entry(("modality", "channel_names"), dataset_dir, datalist)
    if names is None:
        return ["image"]
    if isinstance(names, Mapping) and set(names) == {str(number) for number in range(len(names))}:
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DatalistError(f"{path}: the channels must be named by a list or by '0', '1', ..., got {names!r}.")
    return [str(name) for name in names]


def dataset_label_values(dataset_dir: str | Path, datalist: str | Path | None = None) -> dict[str, Any] | None:
    """Return which values in the label maps belong to every structure, from the ``label_values`` of a dataset.

    Args:
        dataset_dir: folder with ``dataset.json``.
        datalist: datalist to read first.

    Returns:
        As for :class:`bundle.io.LoadVolumed`; None where the label maps hold the classes as they are.

    Raises:
        DatalistError: when a file cannot be read.
    """
    found = _find_described(("label_values", "labels"), dataset_dir, datalist)[1]
    values = found.get("label_values")
    return None if values is None else dict(values)


def _find_entry(names: tuple[str, ...], dataset_dir: str | Path, datalist: str | Path | None) -> tuple[Path, Any]:
    """Return the first entry of one of the names, and the file; None where there is no such entry."""
    path, content = _find_described(names, dataset_dir, datalist)
    return path, next((content[name] for name in names if name in content), None)


def _find_described(
    names: tuple[str, ...], dataset_dir: str | Path, datalist: str | Path | None
) -> tuple[Path, dict[str, Any]]:
    """Return the first file or layout that has an entry of one of the names, and its content."""
    listed = [(Path(datalist), read_json(Path(datalist)))] if datalist and Path(datalist).is_file() else []
    described = describe_dataset(Path(dataset_dir))
    found = [item for item in [*listed, described] if any(name in item[1] for name in names)]
    return found[0] if found else (described[0], {})


def _ignored_value(path: Path, names: Mapping[str, int | None]) -> int | None:
    try:
        return ignored_value(names)
    except ValueError as error:
        raise DatalistError(f"{path}: {error}") from error


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None
