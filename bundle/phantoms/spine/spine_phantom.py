"""Random spines as sagittal MR volumes, with the exact places of their discs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bundle.tasks.spine.discs.disc_label_map import draw_label_map
from bundle.tasks.spine.discs.disc_points import from_array

from .spine_acquisition import acquire
from .spine_contrast import draw_contrast
from .spine_geometry import draw_spine
from .spine_grid import ORIENTATIONS, draw_grid, draw_pose, turn_axes
from .spine_render import render_spine
from .spine_tables import spine_tables

FloatArray = np.ndarray

FULL_SCALE = 1000
"""Stored value of the signal 1."""


@dataclass(frozen=True)
class SpinePhantom:
    """A phantom.

    Attributes:
        voxels: float32, signal from 0 to about 1.
        affine: 4x4 float64, from voxels to RAS+ mm.
        points: (n, 4) float64, value and R, A, S of the posterior tips in the field of view, from the head down.
        all_points: the same for all numbered levels of this spine, in view or not.
        contrast: name of the sequence.
    """

    voxels: FloatArray
    affine: FloatArray
    points: FloatArray
    all_points: FloatArray
    contrast: str


def make_spine_phantom(**options: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return voxels, affine and points of :func:`draw_spine_phantom`, whose arguments it takes."""
    phantom = draw_spine_phantom(**options)
    return phantom.voxels, phantom.affine, phantom.points


def draw_spine_phantom(
    *,
    seed: int | Sequence[int],
    contrast: str | None = None,
    field_of_view: str | tuple[int, int] | None = None,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    scoliosis: float | None = None,
    tilt: float | None = None,
    lumbar_vertebrae: int | None = None,
    noise: float | None = None,
    bias_field: float | None = None,
    orientation: str | None = None,
) -> SpinePhantom:
    """Draw a phantom; what is None is drawn too, and all from one generator, so a seed gives one phantom.

    Args:
        seed: what ``numpy.random.default_rng`` takes.
        contrast: a name of :data:`bundle.phantoms.spine.spine_contrast.SIGNALS`.
        field_of_view: a name of :data:`bundle.phantoms.spine.spine_grid.FIELDS`, or the values of the lowest and the
            highest level to hold.
        shape: voxels along R, A, S.
        spacing: their size in mm.
        scoliosis: greatest lean to a side in degrees.
        tilt: turn of the spine in the sagittal plane in degrees.
        lumbar_vertebrae: 4, 5 or 6; see :func:`bundle.phantoms.spine.spine_sizes.vertebrae_with` for the numbers.
        noise: deviation of the noise, see :func:`bundle.phantoms.spine.spine_acquisition.acquire`.
        bias_field: strength of the coil's shading, 0 for none, 1 for the usual.
        orientation: axis codes of the array, such as "RAS" or "PIR".

    Raises:
        ValueError: for an unknown contrast, field of view or orientation, another number of lumbar vertebrae, or a
            shape or spacing that is not positive.
    """
    rng = np.random.default_rng(seed)
    lumbar = int(rng.choice([5, 4, 6], p=[0.96, 0.02, 0.02]))
    geometry = draw_spine(
        rng, lumbar_vertebrae=lumbar if lumbar_vertebrae is None else lumbar_vertebrae, scoliosis=scoliosis, tilt=tilt
    )
    tables = spine_tables(geometry, rng)
    name, tissue = draw_contrast(rng, contrast)
    grid = draw_grid(rng, geometry, field_of_view, shape=shape, spacing=spacing)
    voxels = render_spine(rng, geometry, tables, tissue, grid)
    voxels = acquire(rng, voxels, grid.spacing.tolist(), noise=noise, bias_field=bias_field)
    pose = draw_pose(rng)
    tips = geometry.tips()
    inside = grid.holds(tips[:, 1:])
    tips[:, 1:] = apply_affine(pose, tips[:, 1:])
    codes = str(rng.choice(ORIENTATIONS)) if orientation is None else orientation
    voxels, affine = turn_axes(voxels, pose @ grid.affine, codes)
    return SpinePhantom(voxels, affine, tips[inside], tips, name)


def write_spine_phantoms(
    folder: str | Path, count: int, seed: int = 0, *, folds: int = 5, **options: Any
) -> dict[str, Any]:
    """Write phantoms as a dataset.

    ``images/<name>.nii.gz`` is the image (int16), ``labels/<name>_discs.json`` its discs in mm, and
    ``labels/<name>_labels-disc.nii.gz`` one voxel for each disc on the image's grid (uint8).

    Args:
        folder: made where it is missing.
        count: how many. Phantom ``i`` is that of the seed ``(seed, i)``, so a larger set begins with the smaller one.
        seed: the seed of the set.
        folds: number of folds that the cases are dealt to.
        options: what :func:`bundle.phantoms.spine.spine_phantom.draw_spine_phantom` takes beside the seed.

    Returns:
        The content of ``dataset.json``.

    Raises:
        ValueError: when count or folds is not positive, or an option is unknown to the phantom.
    """
    if count < 1 or folds < 1:
        raise ValueError(f"count and folds must be positive, got count={count!r} and folds={folds!r}.")
    root = Path(folder)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        phantom = draw_spine_phantom(seed=(seed, number), **options)
        case = _write_phantom(root, f"phantom{number:05d}", phantom)
        cases.append({**case, "complete": True, "fold": number % folds})
    content = {"name": "spine phantoms", "modality": {"0": "MR"}, "seed": seed, "training": cases, "test": []}
    (root / "dataset.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def _write_phantom(root: Path, name: str, phantom: SpinePhantom) -> dict[str, Any]:
    """Write one phantom; return its entry for the list."""
    case = {"image": f"images/{name}.nii.gz", "label": f"labels/{name}_discs.json"}
    voxels = np.clip(np.rint(phantom.voxels * FULL_SCALE), 0, np.iinfo(np.int16).max).astype(np.int16)
    _save(voxels, phantom.affine, root / case["image"])
    discs = from_array(phantom.points)
    labels = draw_label_map(discs, phantom.voxels.shape, phantom.affine)
    _save(labels, phantom.affine, root / "labels" / f"{name}_labels-disc.nii.gz")
    entries = [
        {"value": disc.value, "name": disc.name, "position": [round(mm, 4) for mm in disc.position]} for disc in discs
    ]
    content = {"frame": "RAS", "unit": "mm", "discs": entries}
    (root / case["label"]).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return case


def _save(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)  # as a quaternion of float32, a turn of nearly 180 degrees is off by voxels
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
