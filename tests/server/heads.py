"""Heads with phantoms of both regions, and the main task with weights that know regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers.phantoms import ball, noise, write_nifti
from monai.data import MetaTensor
from servers import task_without_guard

from bundle.inference import Region
from bundle.inference.plausibility import CROP, REGION, FeatureDistribution, Reference, write_reference
from bundle.server.label_tasks import LabelTask

SHAPE, AFFINE = (110, 100, 70), np.diag([-1.0, 1.0, 1.0, 1.0])
"""Grid of a head, whose first axis points to the left; x of its voxels is from 0 to -109 mm."""

CENTERS = {"left": (-80.0, 50.0, 35.0), "right": (-30.0, 50.0, 35.0)}
"""Centers of the regions in mm."""

VALUES = {"left": (11, 12), "right": (21, 22)}


def head_labels(*regions: str) -> np.ndarray:
    """Return the label map of a head, by default with both regions."""
    labels = np.zeros(SHAPE, np.uint8)
    for region in regions or VALUES:
        part = ball((21, 21, 21), 8)
        low = [round(abs(place)) - 10 for place in CENTERS[region]]
        box = tuple(slice(start, start + 21) for start in low)
        labels[box] = np.choose(part, [0, *VALUES[region]])
    return labels


def write_head(folder: Path, name: str = "head") -> Path:
    """Write the image of a head."""
    voxels = (noise(SHAPE) * 0.3 + (head_labels() > 0)).astype(np.float32)
    return write_nifti(folder / f"{name}.nii.gz", voxels, AFFINE)


def write_head_label(folder: Path, name: str = "head", *regions: str) -> Path:
    """Write the label map of a head, see :func:`head_labels`."""
    return write_nifti(folder / f"{name}.nii.gz", head_labels(*regions), AFFINE)


def find_centers(finder: object, image: MetaTensor) -> list[Region]:
    """Find the regions where they are; in place of ``RegionFinder.__call__``."""
    return [Region(name, center_mm=center, volume_mm3=2000.0, probability=0.9) for name, center in CENTERS.items()]


def find_nothing(finder: object, image: MetaTensor) -> list[Region]:
    """Find no region; in place of ``RegionFinder.__call__``."""
    return [Region(name) for name in CENTERS]


def region_task(root: Path, mean_mm3: float = 2000.0) -> LabelTask:
    """Return the main task with the shipped weights, for which volumes of ``mean_mm3`` are plausible."""
    task = task_without_guard(root)
    known = FeatureDistribution(3, ["volume_mm3"], [mean_mm3], [[1e8]])
    write_reference(task.shipped_weights, Reference({CROP: known, REGION: known}))
    return task
