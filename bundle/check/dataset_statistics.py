"""Statistics of a dataset: splits, sizes, spacing, orientation, intensity, classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bundle.tasks.spine.discs.levels import level_name
from bundle.utils.label_names import IGNORE, IGNORED
from bundle.utils.lengths import is_above, is_below

from .findings import Finding, Reading

MOST_LACK = 0.5
"""Share of the items up to which a class that they lack is reported; a rarer class is not in every image."""

UNUSUAL = 3.0
"""A voxel size is reported if it is this many times larger or smaller than the median."""


def summarize(readings: Sequence[Reading], label_names: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return the statistics of all items that could be read, as JSON; entries that no item has are omitted.

    Args:
        readings: the items.
        label_names: value of every class by its name, where they are known.
    """
    names = {f"{IGNORED}": IGNORE} | {f"{value}": name for name, value in (label_names or {}).items()}
    found: dict[str, Any] = {
        "items": len(readings),
        "kinds": dict(Counter(reading.item.kind for reading in readings)),
        "splits": dict(sorted(Counter(reading.item.split for reading in readings).items())),
        "size": _spread([reading.facts.get("size") for reading in readings]),
        "spacing": _spread([reading.facts.get("spacing") for reading in readings]),
        "orientation": dict(_counted(readings, "orientation").most_common()),
        "bits": {str(bits): count for bits, count in _counted(readings, "bits").most_common()},
        "intensity": _intensity(readings),
        "color": _spread([reading.facts.get("color") for reading in readings]),
        "classes": _classes(readings, names),
        "discs": _discs(readings),
        "labels": _labels(readings),
    }
    return {name: value for name, value in found.items() if value}


def find_unusual(readings: Sequence[Reading]) -> list[Finding]:
    """Remark items whose voxel size is far from that of the others."""
    known = [reading for reading in readings if "spacing" in reading.facts]
    if len(known) < 3:
        return []
    sizes = np.sort(np.array([reading.facts["spacing"] for reading in known]), axis=1)
    ratio = sizes / np.median(sizes, axis=0)
    far = (is_above(ratio, UNUSUAL) | is_below(ratio, 1 / UNUSUAL)).any(axis=1)
    usual = _by(np.median(sizes, axis=0))
    return [
        Finding(
            "remark",
            (reading.item.name,),
            f"{reading.item.images[0]}: has voxels of {_by(reading.facts['spacing'])} mm, the median of the dataset, "
            f"from the shortest side on, is {usual} mm",
        )
        for reading, is_far in zip(known, far, strict=True)
        if is_far
    ]


def find_absent_classes(readings: Sequence[Reading], label_names: Mapping[str, int] | None) -> list[Finding]:
    """Find classes that the dataset names and no item holds."""
    labeled = [reading.facts["classes"] for reading in readings if "classes" in reading.facts]
    if not labeled:
        return []
    return [
        Finding("absent class", (), f"no item holds the class {name!r} ({value}); check label_names.")
        for name, value in (label_names or {}).items()
        if value != 0 and name != IGNORE and not any(f"{value}" in classes for classes in labeled)
    ]


def find_partial_labels(readings: Sequence[Reading], label_names: Mapping[str, int] | None) -> list[Finding]:
    """Remark classes that most items hold and some lack: labels may be partial there."""
    labeled = [reading for reading in readings if reading.facts.get("classes")]
    names = {f"{value}": name for name, value in (label_names or {}).items()} | {f"{IGNORED}": IGNORE}
    found = []
    for value in sorted({value for reading in labeled for value in reading.facts["classes"]}, key=float):
        lacking = [reading for reading in labeled if value not in reading.facts["classes"]]
        if names.get(value) != IGNORE and 0 < len(lacking) <= len(labeled) * MOST_LACK:
            found.append(
                Finding(
                    "remark",
                    tuple(reading.item.name for reading in lacking),
                    f"{len(lacking)} of {len(labeled)} items lack the class {names.get(value, value)!r}, such as "
                    f"{lacking[0].item.label}; if it is in the image, label it, or set its voxels to the value of "
                    "'ignore'",
                )
            )
    return found


def _counted(readings: Sequence[Reading], fact: str) -> Counter[Any]:
    return Counter(reading.facts[fact] for reading in readings if fact in reading.facts)


def _spread(rows: Sequence[Sequence[float] | None]) -> dict[str, Any]:
    """Return least, median and greatest of every column, and how many different rows there are."""
    known = [tuple(row) for row in rows if row is not None]
    if not known:
        return {}
    values = np.array(known, dtype=float)
    statistics: dict[str, Callable[..., Any]] = {"min": np.min, "median": np.median, "max": np.max}
    return {name: statistic(values, axis=0).tolist() for name, statistic in statistics.items()} | {
        "different": len(set(known))
    }


def _intensity(readings: Sequence[Reading]) -> dict[str, Any]:
    """Return the spread over the items of what each item's voxels are like."""
    known = [reading.facts["intensity"] for reading in readings if "intensity" in reading.facts]
    return {name: _numbers([facts[name] for facts in known]) for name in known[0]} if known else {}


def _numbers(values: Sequence[float]) -> dict[str, float]:
    return {"min": float(np.min(values)), "median": float(np.median(values)), "max": float(np.max(values))}


def _classes(readings: Sequence[Reading], names: Mapping[str, str]) -> dict[str, Any]:
    """Return how many items hold a class, its share of all voxels or pixels, and its volumes in ml."""
    labeled = [reading.facts for reading in readings if "classes" in reading.facts]
    total = sum(facts["voxels"] for facts in labeled)
    values = sorted({value for facts in labeled for value in facts["classes"]}, key=float)
    found: dict[str, Any] = {}
    for value in values:
        holding = [facts for facts in labeled if value in facts["classes"]]
        volumes = [facts["volumes_ml"][value] for facts in holding if "volumes_ml" in facts]
        found[value] = {
            "name": names.get(value, value),
            "items": len(holding),
            "of": len(labeled),
            "share": sum(facts["classes"][value] for facts in holding) / total,
            "share_of_item": _numbers([facts["classes"][value] / facts["voxels"] for facts in holding]),
            **({"volume_ml": _numbers(volumes)} if volumes else {}),
        }
    return found


def _discs(readings: Sequence[Reading]) -> dict[str, int]:
    counts = Counter(value for reading in readings for value in reading.facts.get("discs", []))
    return {level_name(value): counts[value] for value in sorted(counts)}


def _labels(readings: Sequence[Reading]) -> dict[str, Any]:
    """Return how many images are of every class, by the part of the split."""
    found: dict[str, Any] = {}
    for reading in readings:
        for name, value in reading.facts.get("labels", {}).items():
            parts = found.setdefault(name, {"yes": 0, "no": 0, "by_split": {}})
            parts["yes" if value else "no"] += 1
            by_split = parts["by_split"]
            by_split[reading.item.split] = by_split.get(reading.item.split, 0) + value
    return found


def _by(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
