"""Segment the hippocampi of the MNI152 T1 template, which the package nilearn contains."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle import ROOT
from bundle.visualize.overlay import save_overlay

logger = logging.getLogger(__name__)

SIDES = {"left": (-27, -22, -13), "right": (27, -22, -13)}
"""Centers of the two hippocampus regions in MNI coordinates, mm in RAS+."""

CROP = (36, 50, 36)
"""Size of a region in mm, the size of the volumes that the model was trained on."""


def run_demo(output_dir: str | Path) -> dict[str, dict[str, float]]:
    """Segment both hippocampi of the template and write the label map and an overlay on the template's own grid.

    Args:
        output_dir: folder to write to; created if missing.

    Returns:
        Volumes in mm3 by side and structure.

    Raises:
        ModuleNotFoundError: if nilearn is missing (extra ``demo``).
        subprocess.CalledProcessError: if the inference fails.
    """
    output = Path(output_dir).resolve()
    crops, results = output / "crops", output / "inference"
    crops.mkdir(parents=True, exist_ok=True)
    template = load_template()
    nib.save(template, output / "mni152_t1.nii.gz")
    starts = {side: _save_crop(template, center, crops / f"{side}.nii.gz") for side, center in SIDES.items()}
    segment(crops, results)
    labels, sides = np.zeros(template.shape, np.uint8), np.zeros(template.shape, np.uint8)
    volumes: dict[str, dict[str, float]] = {}
    groups: dict[str, dict[str, int]] = {}
    for side, start in starts.items():
        part = np.asanyarray(nib.Nifti1Image.from_filename(results / f"{side}_seg.nii.gz").dataobj)
        box = tuple(slice(low, low + size) for low, size in zip(start, part.shape, strict=True))
        labels[box] = part
        found = json.loads((results / f"{side}.json").read_text(encoding="utf-8"))["labels"]
        volumes[side] = {name: item["volume_mm3"] for name, item in found.items()}
        offset = len(found) * len(groups)
        groups[side] = {name: item["value"] + offset for name, item in found.items()}
        sides[box] = np.where(part, part + offset, 0)
    nib.save(nib.Nifti1Image(labels, template.affine, dtype=np.uint8), output / "mni152_hippocampus.nii.gz")
    image, overlay = template.get_fdata(dtype=np.float32), output / "mni152_hippocampus.png"
    save_overlay((image, template.affine), (sides, template.affine), overlay, groups=groups)
    _log_volumes(volumes, output)
    return volumes


def load_template() -> nib.Nifti1Image:
    """Return the MNI152 T1 template at 1 mm, from the installed package nilearn."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    return nib.Nifti1Image(template.get_fdata(dtype=np.float32), template.affine)


def segment(images: Path, output_dir: Path) -> None:
    """Run the inference config on a folder, as a user would on the command line."""
    config = Path(ROOT, "configs", "inference.json")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(config)]
    subprocess.run([*command, "--input", str(images), "--output_dir", str(output_dir)], check=True, cwd=ROOT)


def _nearest_voxel(image: nib.Nifti1Image, point: tuple[float, float, float]) -> list[int]:
    index = np.linalg.inv(image.affine) @ [*point, 1]
    return [round(float(value)) for value in index[:3]]


def _save_crop(image: nib.Nifti1Image, center: tuple[float, float, float], path: Path) -> list[int]:
    start = [index - size // 2 for index, size in zip(_nearest_voxel(image, center), CROP, strict=True)]
    part = image.slicer[tuple(slice(low, low + size) for low, size in zip(start, CROP, strict=True))]
    nib.save(part, path)
    return start


def _log_volumes(volumes: Mapping[str, Mapping[str, float]], output: Path) -> None:
    for side, structures in volumes.items():
        parts = ", ".join(f"{name} {volume:.0f} mm3" for name, volume in structures.items())
        logger.info("%s hippocampus: %s, together %.0f mm3", side, parts, sum(structures.values()))
    logger.info("label map: %s", output / "mni152_hippocampus.nii.gz")
    logger.info("overlay:   %s", output / "mni152_hippocampus.png")
