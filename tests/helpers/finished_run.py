"""Folders as finished runs leave them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .phantoms import noise, write_nifti


def write_run(folder: Path, count: int = 4, *, volumes: bool = True, scored: bool = False) -> Path:
    """Write an inference of volumes: the last case failed, the one before it is flagged.

    Args:
        folder: folder to write to.
        count: cases.
        volumes: whether there are images and label maps.
        scored: whether there are metrics, as of an evaluation.
    """
    folder.mkdir(parents=True)
    for number in range(count - 1):
        name = f"case{number:03d}"
        image, labels = folder.parent / "in" / f"{name}.nii.gz", folder / f"{name}_seg.nii.gz"
        if volumes:
            write_nifti(image, noise((12, 14, 16), dtype=np.int16))
            values = np.zeros((12, 14, 16), np.uint8)
            values[3:9, 4:10, 5:11], values[3:9, 10:12, 5:11] = 1, 2
            write_nifti(labels, values)
        Image.new("RGB", (40, 20), (number * 7 % 256, 100, 50)).save(folder / f"{name}_overlay.png")
        bad = number == count - 2
        margin = 0.5 if bad else 0.9 + number / 1e4
        structure = {"value": 1, "volume_mm3": 100.0 + number, "margin": margin}
        record: dict[str, Any] = {
            "case": name,
            "input": str(image),
            "output": str(labels),
            "identifiers": {"sub": f"{number:03d}"},
            "labels": {"front": structure, "back": {**structure, "value": 2}},
            "z_scores": {"front": {"volume_mm3": 0.1, "margin": -9.0 if bad else 0.5}},
            "flags": ["front: margin 0.5 is low, <b>very</b>"] if bad else [],
            "predicted_dice": {"front": 0.4 if bad else 0.88, "back": None},
            "remarks": [],
        }
        (folder / f"{name}.json").write_text(json.dumps(record))
    failed = {"case": "zfailed", "file": "in/zfailed.nii.gz", "error": "BadInputError", "message": "it is bad"}
    (folder / "summary.json").write_text(json.dumps({"cases": [], "failures": [failed]}))
    if scored:
        _write_metrics(folder, count)
    return folder


def _write_metrics(folder: Path, count: int) -> None:
    rows = [
        {
            "case": f"case{number:03d}",
            "structure": name,
            "dice": 0.8 + number / 100,
            "hd95_mm": "nan",
            "volume_mm3": 100.0 + number,
            "reference_mm3": 98.0 + number * 1.1,
        }
        for number in range(count - 1)
        for name in ("front", "back")
    ]
    with open(folder / "metrics.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    interval = {"mean": 0.82, "low": 0.8, "high": 0.84, "n": count - 1}
    summary = {name: {"dice": interval} for name in ("front", "back")}
    (folder / "metrics.json").write_text(json.dumps({"tolerance_mm": 1.0, "summary": summary, "cases": rows}))
