"""Segment the hippocampi of the MNI152 T1 template, which the package nilearn contains."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle import ROOT
from bundle.utils.errors import BundleError

logger = logging.getLogger(__name__)

CASE = "mni152_t1"
"""Name of the case, after which the files are named."""

SIDES = ("left", "right")
"""Regions that the template has."""


class DemoError(BundleError):
    """A demo that did not find both hippocampi."""


def run_demo(output_dir: str | Path) -> dict[str, dict[str, float]]:
    """Segment both hippocampi of the template with ``configs/inference.json``, as a user would on the command line.

    The template is written to ``image/`` in the folder, and the results, with their usual names, to the folder.

    Args:
        output_dir: folder to write to; created if missing.

    Returns:
        Volumes in mm3 by side and structure, and in total.

    Raises:
        ModuleNotFoundError: if nilearn is missing (extra ``demo``).
        DemoError: if a hippocampus was not found.
        subprocess.CalledProcessError: if the inference fails.
    """
    output = Path(output_dir).resolve()
    image = output / "image" / f"{CASE}.nii.gz"
    image.parent.mkdir(parents=True, exist_ok=True)
    nib.save(load_template(), image)
    results = segment(image, output)
    volumes = results.get("volumes_mm3", {})
    missing = [side for side in SIDES if side not in volumes]
    if missing:
        remarks = "; ".join(results["remarks"]) or "none"
        raise DemoError(
            f"{image}: no {' and no '.join(missing)} hippocampus was found (remarks: {remarks}); check that models/ "
            "holds the shipped weights and model_plausibility.json."
        )
    _log_results(results, output)
    return volumes


def load_template() -> nib.Nifti1Image:
    """Return the MNI152 T1 template at 1 mm, from the installed package nilearn."""
    from nilearn.datasets import load_mni152_template

    template = load_mni152_template(resolution=1)
    return nib.Nifti1Image(template.get_fdata(dtype=np.float32), template.affine)


def segment(image: Path, output_dir: Path) -> dict[str, Any]:
    """Run the inference config on an image and return the JSON of its results.

    Raises:
        DemoError: if the image was skipped.
        subprocess.CalledProcessError: if the inference fails.
    """
    from bundle.inference.case_record import EXIT_BAD_CASES

    config = Path(ROOT, "configs", "inference.json")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", str(config)]
    run = subprocess.run([*command, "--input", str(image), "--output_dir", str(output_dir)], check=False, cwd=ROOT)
    if run.returncode == EXIT_BAD_CASES:
        summary = json.loads((output_dir / "summary.json").read_text(encoding="utf-8"))
        raise DemoError("; ".join(failure["message"] for failure in summary["failed"]))
    run.check_returncode()
    return json.loads((output_dir / f"{CASE}.json").read_text(encoding="utf-8"))


def _log_results(results: dict[str, Any], output: Path) -> None:
    for side, structures in results["volumes_mm3"].items():
        parts = ", ".join(f"{name} {volume:.0f} mm3" for name, volume in structures.items())
        logger.info("%s hippocampus: %s", side, parts)
    asymmetry = ", ".join(f"{name} {percent:+.1f} %" for name, percent in results["asymmetry_percent"].items())
    logger.info("asymmetry, positive where the left is larger: %s", asymmetry)
    logger.info("label map: %s", output / f"{CASE}_seg.nii.gz")
    logger.info("overlay:   %s", output / f"{CASE}_overlay.png")
    logger.info("numbers:   %s", output / f"{CASE}.json")
