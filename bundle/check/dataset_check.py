"""Validation of a dataset: every item is read; faults, remarks and statistics are reported.

Volumes with label maps or points of discs, and images with masks or classes, as the tasks of this bundle take them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bundle.utils.label_names import IGNORE, ignored_value

from .console_report import console_lines, content_of
from .dataset_statistics import find_absent_classes, find_partial_labels, find_unusual, summarize
from .duplicates import find_duplicates, find_patient_leaks
from .findings import Finding, Reading, silent_readers
from .fingerprint import fingerprint
from .html_page import make_page
from .image_reader import read_image_item
from .items import Item, Listing, list_items
from .volume_reader import read_volume

__all__ = ["check_dataset"]

logger = logging.getLogger(__name__)

MAX_WORKERS = 8
"""Largest default number of items that are read at a time; not more than processors."""

SPACING_RANGE = (0.1, 10.0)
"""Voxel sizes in mm that are not a fault; beyond them the unit of the header is in doubt."""


def check_dataset(
    dataset_dir: str | Path,
    datalist: str | Path | None = None,
    output_dir: str | Path | None = None,
    *,
    label_names: Mapping[str, int] | None = None,
    levels: Sequence[int] = (255,),
    round_levels: bool = False,
    spacing_range: Sequence[float] = SPACING_RANGE,
    workers: int | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Validate a dataset and log the findings.

    Args:
        dataset_dir: folder of the dataset.
        datalist: JSON file in MSD form; see :func:`.items.list_items`.
        output_dir: folder for ``check.json`` and ``check.html``; None to write nothing.
        label_names: value of every class by its name; None for the names in the datalist.
        levels: gray level in masks of images of every class from 1 on.
        round_levels: take the nearest level in masks with other levels.
        spacing_range: smallest and largest voxel size in mm that is not a fault.
        workers: items that are read at a time; None for as many as processors, at most :data:`MAX_WORKERS`.
        command: what to call the command in the JSON.

    Returns:
        The content of ``check.json``: ``faults`` and ``remarks``, each with ``kind``, ``items`` and ``message``;
        ``statistics``; ``items``.

    Raises:
        DatalistError: when the dataset cannot be listed.
    """
    options: dict[str, Any] = {"levels": levels, "round_levels": round_levels, "spacing_range": spacing_range}
    listing, readings, names = read_dataset(dataset_dir, datalist, label_names=label_names, workers=workers, **options)
    faults = _faults(listing, readings, names)
    remarks = [remark for reading in readings for remark in reading.remarks]
    remarks += [*find_unusual(readings), *find_partial_labels(readings, names)]
    print_ = fingerprint(readings, names)
    statistics = {**summarize(readings, names), **({"fingerprint": print_} if print_ else {})}
    content = content_of(str(listing.source), readings, faults, remarks, command=command, statistics=statistics)
    for line in console_lines(content):
        logger.info("%s", line)
    if output_dir is not None:
        _write(content, readings, Path(output_dir))
    return content


def read_dataset(
    dataset_dir: str | Path,
    datalist: str | Path | None = None,
    *,
    label_names: Mapping[str, int] | None = None,
    workers: int | None = None,
    levels: Sequence[int] = (255,),
    round_levels: bool = False,
    spacing_range: Sequence[float] = SPACING_RANGE,
) -> tuple[Listing, list[Reading], Mapping[str, int] | None]:
    """Read all items of a dataset; see :func:`check_dataset` for the arguments.

    Returns:
        The listing, what was read of every item, and the value of every class by its name, if it is known.
    """
    listing = list_items(dataset_dir, datalist)
    names = label_names if label_names is not None else listing.label_names
    values = listing.label_values if label_names is None else None
    options: dict[str, Any] = {"label_names": names, "label_values": values, "channels": listing.channels}
    read = partial(_read, levels=levels, round_levels=round_levels, spacing_range=spacing_range, **options)
    return listing, _read_all(listing.items, read, workers or min(os.cpu_count() or 1, MAX_WORKERS)), names


def _read_all(items: Sequence[Item], read: Any, workers: int) -> list[Reading]:
    """Read all items, several at a time; a bar on a terminal shows how far it is."""
    with silent_readers(), ThreadPoolExecutor(workers) as pool:
        return list(tqdm(pool.map(read, items), total=len(items), unit="item", disable=None, dynamic_ncols=True))


def _read(
    item: Item,
    *,
    levels: Sequence[int],
    round_levels: bool,
    spacing_range: Sequence[float],
    **options: Any,
) -> Reading:
    if item.kind == "images":
        ignored = (options["label_names"] or {}).get(IGNORE)
        reading = read_image_item(item, levels=levels, round_levels=round_levels, ignore_label=ignored)
    else:
        reading = read_volume(item, spacing_range=spacing_range, **options)
    if item.label is None and item.classes is None and item.needs_label:
        reading.fault("missing label", f"{item.images[0]}: has no label, but is one of the training cases.")
    return reading


def _faults(listing: Listing, readings: Sequence[Reading], names: Mapping[str, int] | None) -> list[Finding]:
    single = [fault for reading in readings for fault in reading.faults]
    orphans = [Finding("orphan label", (), f"{file}: belongs to no image.") for file in listing.orphans]
    shared = find_duplicates(readings)
    try:
        ignored_value(names or {})
    except ValueError as error:
        single.append(Finding("ignore label", (), f"{error} Losses and metrics cannot leave it out."))
    return [*single, *orphans, *find_absent_classes(readings, names), *shared, *find_patient_leaks(readings, shared)]


def _write(content: Mapping[str, Any], readings: Sequence[Reading], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "check.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "check.html").write_text(make_page(content, readings), encoding="utf-8")
    logger.info("wrote %s and %s", folder / "check.json", folder / "check.html")
