"""Fingerprint of a dataset of volumes: what a training is planned from (Isensee et al. 2021, the term of nnU-Net)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .findings import Reading


def fingerprint(readings: Sequence[Reading], names: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Return the fingerprint of the labeled volumes; empty where there is none.

    Args:
        readings: the items.
        names: value of every class by its name, where they are known.

    Returns:
        ``cases``; ``spacing`` and ``size``, the rows of all cases, in RAS order; ``structures`` by name: in how many
        ``cases`` it is, ``volume_ml``, ``extent_mm`` (95th percentile per axis), ``components`` (median) and
        ``smallest_mm3`` (median); ``inside`` per channel: percentiles, mean and deviation inside of structures;
        ``lowest``, the median of the lowest intensities.
    """
    known = [reading.facts for reading in readings if "structures" in reading.facts and "ras" in reading.facts]
    if not known:
        return {}
    by_value = {f"{value}": name for name, value in (names or {}).items()}
    values = sorted({value for facts in known for value in facts["structures"]}, key=int)
    channels = min(len(facts["inside"]) for facts in known)
    return {
        "cases": len(known),
        "spacing": [facts["ras"]["spacing"] for facts in known],
        "size": [facts["ras"]["size"] for facts in known],
        "structures": {by_value.get(value, f"label_{value}"): _structure(known, value) for value in values},
        "inside": [_pooled([facts["inside"][channel] for facts in known]) for channel in range(channels)],
        "lowest": float(np.median([facts["intensity"]["min"] for facts in known])),
    }


def _structure(known: Sequence[Mapping[str, Any]], value: str) -> dict[str, Any]:
    held = [facts for facts in known if value in facts["structures"]]
    found = [facts["structures"][value] for facts in held]
    return {
        "value": int(value),
        "cases": len(found),
        "volume_ml": float(np.median([facts["volumes_ml"][value] for facts in held])),
        "extent_mm": np.percentile([item["extent_mm"] for item in found], 95, axis=0).round(2).tolist(),
        "components": float(np.median([item["components"] for item in found])),
        "smallest_mm3": float(np.median([item["smallest_mm3"] for item in found])),
    }


def _pooled(cases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return mean and deviation over all cases together, and the medians of their percentiles."""
    means = np.array([case["mean"] for case in cases])
    spread = math.sqrt(float(np.mean([case["sd"] ** 2 for case in cases]) + means.var()))
    percentiles = {name: float(np.median([case[name] for case in cases])) for name in ("p0.5", "p50", "p99.5")}
    return {**percentiles, "mean": float(means.mean()), "sd": spread}
