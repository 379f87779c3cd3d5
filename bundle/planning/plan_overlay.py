"""The overlay of a plan, from its choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .geometry import WIDTHS


def channel_names(content: Mapping[str, Any], count: int) -> list[str]:
    """Return the names of the channels, numbers where the dataset has none.

    Args:
        content: content of the datalist.
        count: number of channels in the files.
    """
    named = content.get("modality", content.get("channel_names"))
    if not named:
        return ["image"] if count == 1 else [f"channel_{number}" for number in range(count)]
    return list(named.values()) if isinstance(named, Mapping) else list(named)


def describe_classes(content: Mapping[str, Any], structures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ids of classes: those that the dataset names, or the values that its label maps hold.

    Args:
        content: content of the datalist.
        structures: structures of the fingerprint.
    """
    from bundle.utils.label_names import IGNORE, ignored_value, structures_of

    labels = content.get("labels")
    if not labels:
        values = sorted(found["value"] for found in structures.values())
        names = {f"label_{value}": place for place, value in enumerate(values, start=1)}
        plain = values == list(names.values())
        table = None if plain else {f"label_{value}": [value] for value in values}
        return {"label_names": names, "label_values": table, "ignore_label": None}
    pairs = {name: int(value) for name, value in (_by_name(item) for item in labels.items())}
    table = content.get("label_values")
    structures_named = structures_of(pairs)
    if table is None and sorted(structures_named.values()) != list(range(1, len(structures_named) + 1)):
        return _without_gaps(pairs, structures_named)
    ignored = None if table is not None and IGNORE in table else ignored_value(pairs)
    return {"label_names": structures_named, "label_values": table, "ignore_label": ignored}


def _without_gaps(pairs: Mapping[str, int], structures: Mapping[str, int]) -> dict[str, Any]:
    """Return classes from 1 on, with a table of the values, so that the network has no class that never occurs."""
    from bundle.utils.label_names import IGNORE

    ordered = sorted(structures, key=structures.__getitem__)
    table = {name: [structures[name]] for name in ordered}
    if IGNORE in pairs:
        table[IGNORE] = [pairs[IGNORE]]
    return {
        "label_names": {name: place for place, name in enumerate(ordered, start=1)},
        "label_values": table,
        "ignore_label": None,
    }


def _by_name(item: tuple[Any, Any]) -> tuple[str, Any]:
    """Return the name and the value of a class, of either form of ``labels``."""
    key, value = item
    return (value, key) if str(key).isdigit() else (key, value)


def region_ids(regions: Mapping[str, Sequence[int]] | None) -> dict[str, Any]:
    """Return the ids of nested regions, as in ``configs/datasets/brats2018_regions.json``; none without regions."""
    if not regions:
        return {}
    return {
        "regions": {name: list(values) for name, values in regions.items()},
        "structures": "@regions",
        "plan": "fp32",
        "confidence": [],
        "network_def#out_channels": "$len(@regions)",
        "label_map": {
            "_target_": "bundle.transforms.NestedRegions",
            "regions": "@regions",
            "confidence": "@confidence",
        },
    }


def network_ids(strides: Sequence[Sequence[int]], spacing: Sequence[float], channels: int) -> dict[str, Any]:
    """Return the ids of the network: channels, strides, and slice attention along the thickest slices."""
    thick = int(np.argmax(spacing)) if max(spacing) > min(spacing) * 1.01 else 2
    regular = all(step == 2 for steps in strides for step in steps)
    return {
        "network_def#channels": list(WIDTHS[: len(strides) + 1]),
        **({} if regular else {"network_def#levels": {"strides": [list(steps) for steps in strides]}}),
        "network_def#in_channels": channels,
        "attention": ["pam", {"slice_dim": thick}] if thick != 2 else "pam",
    }
