"""Random spines as sagittal MR volumes, with the exact positions of their discs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine

from bundle.tasks.spine.discs.disc_label_map import draw_label_map
from bundle.tasks.spine.discs.disc_points import from_array
from bundle.utils.write_json import write_json

from .spine_acquisition import acquire
from .spine_contrast import draw_contrast
from .spine_geometry import draw_lumbar_vertebrae, draw_spine
from .spine_grid import ORIENTATIONS, draw_grid, draw_pose, reorient
from .spine_render import render_spine
from .spine_tables import spine_tables

FULL_SCALE = 1000
"""Stored value of the signal 1."""


@dataclass(frozen=True)
class SpinePhantom:
    """A phantom.

    Attributes:
        voxels: float32, signal from 0 to about 1.
        affine: 4x4 float64, from voxels to RAS+ mm.
        points: (n, 4) float64, value and R, A, S of the posterior tips in the field of view, from head to foot.
        all_points: the same for all numbered levels of this spine, in view or not.
        contrast: name of the sequence.
    """

    voxels: np.ndarray
    affine: np.ndarray
    points: np.ndarray
    all_points: np.ndarray
    contrast: str


def make_spine_phantom(**options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return voxels, affine and points of :func:`draw_spine_phantom`, with the same arguments.

    Examples:
        >>> grid = {"field_of_view": "lumbar", "shape": (3, 60, 90), "spacing": (4.0, 3.0, 3.0), "orientation": "RAS"}
        >>> voxels, affine, points = make_spine_phantom(seed=0, contrast="t2", **grid)
        >>> voxels.shape, affine.shape, points.shape[1]
        ((3, 60, 90), (4, 4), 4)
    """
    phantom = draw_spine_phantom(**options)
    return phantom.voxels, phantom.affine, phantom.points


def draw_spine_phantom(
    *,
    seed: int | Sequence[int],
    contrast: str | None = None,
    field_of_view: str | tuple[int, int] | None = None,
    shape: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    orientation: str | None = None,
    spine: Mapping[str, Any] | None = None,
    acquisition: Mapping[str, Any] | None = None,
) -> SpinePhantom:
    """Draw a phantom; options that are None are drawn as well, all from one generator, so a seed gives one phantom.

    Args:
        seed: seed of ``numpy.random.default_rng``.
        contrast: a name of :data:`bundle.phantoms.spine.spine_contrast.SIGNALS`.
        field_of_view: a name of :data:`bundle.phantoms.spine.spine_grid.FIELDS`, or the values of the lowest and the
            highest level to show.
        shape: voxels along R, A, S.
        spacing: voxel size in mm along R, A, S.
        orientation: axis codes of the array, such as "RAS" or "PIR".
        spine: ``lumbar_vertebrae``, ``scoliosis`` and ``tilt`` of
            :func:`bundle.phantoms.spine.spine_geometry.draw_spine`.
        acquisition: ``noise`` and ``bias_field`` of :func:`bundle.phantoms.spine.spine_acquisition.acquire`.

    Raises:
        ValueError: for an unknown contrast, field of view or orientation, another number of lumbar vertebrae, or a
            shape or spacing that is not positive.
    """
    rng = np.random.default_rng(seed)
    geometry = draw_spine(rng, **{"lumbar_vertebrae": draw_lumbar_vertebrae(rng), **(spine or {})})
    tables = spine_tables(geometry, rng)
    name, tissue = draw_contrast(rng, contrast)
    grid = draw_grid(rng, geometry, field_of_view, shape=shape, spacing=spacing)
    voxels = render_spine(rng, geometry, tables, tissue, grid)
    voxels = acquire(rng, voxels, grid.spacing.tolist(), **(acquisition or {}))
    pose = draw_pose(rng)
    tips = geometry.tips()
    inside = grid.contains(tips[:, 1:])
    tips[:, 1:] = apply_affine(pose, tips[:, 1:])
    codes = str(rng.choice(ORIENTATIONS)) if orientation is None else orientation
    voxels, affine = reorient(voxels, pose @ grid.affine, codes)
    return SpinePhantom(voxels, affine, tips[inside], tips, name)


def write_spine_phantoms(
    folder: str | Path, count: int, seed: int = 0, *, folds: int = 5, **options: Any
) -> dict[str, Any]:
    """Write phantoms as a dataset.

    ``images/<name>.nii.gz`` is the image (int16), ``labels/<name>_discs.json`` its discs in mm, and
    ``labels/<name>_labels-disc.nii.gz`` a label map with one voxel per disc on the grid of the image (uint8).

    Args:
        folder: folder to write to; created if missing.
        count: number of phantoms. Phantom ``i`` has the seed ``(seed, i)``, so a larger set begins with a smaller one.
        seed: the seed of the set.
        folds: number of folds to which the cases are assigned.
        options: arguments of :func:`draw_spine_phantom` except the seed.

    Returns:
        The content of ``dataset.json``.

    Raises:
        ValueError: when count or folds is not positive, or an option is invalid.
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
    write_json(root / "dataset.json", content, indent=1)
    return content


def _write_phantom(root: Path, name: str, phantom: SpinePhantom) -> dict[str, Any]:
    """Write one phantom; return its case."""
    case = {"image": f"images/{name}.nii.gz", "label": f"labels/{name}_discs.json"}
    voxels = np.clip(np.rint(phantom.voxels * FULL_SCALE), 0, np.iinfo(np.int16).max).astype(np.int16)
    _save(voxels, phantom.affine, root / case["image"])
    discs = from_array(phantom.points)
    labels = draw_label_map(discs, phantom.voxels.shape, phantom.affine)
    _save(labels, phantom.affine, root / "labels" / f"{name}_labels-disc.nii.gz")
    entries = [
        {"value": disc.value, "name": disc.name, "position": [round(mm, 4) for mm in disc.position]} for disc in discs
    ]
    write_json(root / case["label"], {"frame": "RAS", "unit": "mm", "discs": entries}, indent=1)
    return case


def _save(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)  # as a quaternion of float32, a turn of nearly 180 degrees is off by voxels
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
