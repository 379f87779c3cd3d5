"""Files and measurements of a segmented image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keyslice_runtime.io.images import EXIF_ORIENTATION, stored
from keyslice_runtime.metrics.outline import outline_measures
from keyslice_runtime.utils.atomic_write import atomic_write

from .mask_decision import MaskDecision

PNG_COMPRESSION = 3
"""Compression level of PNG: a third of the time of the default 6, for files that are a tenth larger."""


def describe_mask(
    output: Path, found: np.ndarray, labels: Mapping[str, Mapping[str, Any]], decision: MaskDecision
) -> dict[str, Any]:
    """Return what the JSON of an image has of its mask.

    Args:
        output: file of the mask.
        found: probabilities ``(K, H, W)``.
        labels: what :func:`measure_mask` returns.
        decision: rule by which the probabilities become classes.
    """
    threshold = decision.threshold if len(found) == 1 else None
    return {"output": str(output), "shape": list(found.shape[1:]), "threshold": threshold, "labels": labels}


def measure_mask(found: np.ndarray, classes: np.ndarray, decision: MaskDecision) -> dict[str, dict[str, Any]]:
    """Return area, outline and mean probability of every structure.

    Args:
        found: probabilities ``(K, H, W)``.
        classes: class numbers ``(H, W)``.
        decision: rule by which the probabilities become classes.
    """
    measures = {}
    for name, value in decision.label_names.items():
        mask, probability = classes == value, found[decision.channel(value)]
        of = outline_measures(mask)
        mean = round(float(probability[mask].mean()), 4) if of["area_px"] else None
        irregularity = round(of["border_irregularity"], 4) if of["area_px"] else None
        measures[name] = {
            "value": value,
            **of,
            "area_share": round(of["area_share"], 6),
            "perimeter_px": round(of["perimeter_px"], 2),
            "border_irregularity": irregularity,
            "mean_probability": mean,
        }
    return measures


def probability_maps(found: np.ndarray, decision: MaskDecision) -> dict[str, np.ndarray]:
    """Return probabilities times 255, uint8 ``(H, W)``, by the end of the name of their file."""
    maps = {"": found[0]} if len(found) == 1 else {f"_{name}": found[i] for name, i in decision.label_names.items()}
    return {ending: np.round(values * 255).astype(np.uint8) for ending, values in maps.items()}


def save_gray_png(pixels: np.ndarray, path: Path, orientation: int = 1) -> None:
    """Write upright pixels ``(H, W)``, uint8 or uint16, as a gray PNG with an EXIF orientation."""
    image = Image.fromarray(np.ascontiguousarray(stored(pixels, orientation)))
    exif = image.getexif()
    if orientation != 1:
        exif[EXIF_ORIENTATION] = orientation
    with atomic_write(path) as file:
        image.save(file, "PNG", exif=exif, compress_level=PNG_COMPRESSION)
