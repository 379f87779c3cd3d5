"""The findings of a validation as lines for the console and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .findings import Finding, Reading

SHOWN_REMARKS = 10
"""Remarks on the console, at most; the others are in the JSON and on the page."""


def content_of(
    dataset: str, readings: Sequence[Reading], faults: Sequence[Finding], remarks: Sequence[Finding], **parts: Any
) -> dict[str, Any]:
    """Return the content of ``check.json``.

    Args:
        dataset: the datalist or folder.
        readings: the items.
        faults: what is wrong.
        remarks: what looks odd.
        parts: further entries.
    """
    return {
        "dataset": dataset,
        **parts,
        "faults": [vars(finding) for finding in faults],
        "remarks": [vars(finding) for finding in remarks],
        "items": [
            {
                "name": reading.item.name,
                "split": reading.item.split,
                "label": reading.item.label,
                **reading.facts,
            }
            for reading in readings
        ],
    }


def console_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the table of the statistics, then faults and remarks, a line each."""
    lines = [content["dataset"]]
    lines += [f"  {name:<12} {text}" for name, text in statistics_rows(content["statistics"])]
    faults, remarks = content["faults"], content["remarks"]
    lines += [f"fault: {fault['kind']}: {fault['message']}" for fault in faults]
    lines += [f"remark: {remark['message']}" for remark in remarks[:SHOWN_REMARKS]]
    if len(remarks) > SHOWN_REMARKS:
        lines.append(f"{len(remarks) - SHOWN_REMARKS} more remarks")
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(fault["kind"] for fault in faults).items())
    return [*lines, f"{len(faults)} faults" + (f" ({kinds})" if faults else "") + f", {len(remarks)} remarks"]


def statistics_rows(statistics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the statistics as pairs of a name and a text."""
    rows = [("items", str(statistics["items"]))]
    for name in ("kinds", "splits", "orientation", "bits", "discs"):
        if name in statistics:
            rows.append((name, ", ".join(f"{key} {count}" for key, count in statistics[name].items())))
    for name in ("size", "spacing", "color"):
        if name in statistics:
            spread = statistics[name]
            text = "; ".join(f"{kind} {_by(spread[kind])}" for kind in ("min", "median", "max"))
            rows.append((name, f"{text}; {spread['different']} different"))
    for name, spread in statistics.get("intensity", {}).items():
        rows.append((name, f"of the voxels, over the items: {_range(spread)}"))
    rows += [(f"class {value}", _class_text(value, entry)) for value, entry in statistics.get("classes", {}).items()]
    for name, entry in statistics.get("labels", {}).items():
        parts = ", ".join(f"{part} {count}" for part, count in entry["by_split"].items())
        rows.append((name, f"{entry['yes']} of {entry['yes'] + entry['no']} ({parts})"))
    return rows


def _class_text(value: str, entry: Mapping[str, Any]) -> str:
    name = "" if entry["name"] == value else f"{entry['name']}, "
    text = f"{name}in {entry['items']} of {entry['of']} items, {entry['share']:.3%} of all"
    return text + (f", {_range(entry['volume_ml'])} ml" if "volume_ml" in entry else "")


def _by(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _range(spread: Mapping[str, float]) -> str:
    return f"{spread['min']:.4g} to {spread['max']:.4g}, median {spread['median']:.4g}"
