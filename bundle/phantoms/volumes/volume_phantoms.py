"""Small phantoms of the volumetric datasets, in their folder layouts, to run workflows without the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from bundle.data.datalist_file import DatalistError

from .dataset_layouts import bids, brats2018, folder_pairs, hvsmr, malc, msd, split_folders
from .volume_anatomy import ABDOMEN, GLIOMA, HEART, HIPPOCAMPUS, STRUCTURES, TISSUES, Anatomy, Ellipsoid

Layout = Literal["released", "original"]
"""The layout in which a dataset is released, and that of the original project (AttentionBased-MIS)."""

LAYOUTS = get_args(Layout)

SIZES = (24, 96)
"""Minimum and maximum number of voxels per side."""

SMOOTHING, NOISE = 0.5, 0.04
"""Width of the blur in voxels, and noise as a fraction of the highest gray value."""

TEXTURE, GRAIN = 0.1, 12
"""Inhomogeneity as a fraction of the gray value; number of its spots along an axis."""

Volumes = tuple[dict[str, nib.Nifti1Image], nib.Nifti1Image]
"""Images by modality, and the label map."""


@dataclass(frozen=True)
class _Phantom:
    anatomy: Anatomy
    released: Callable[..., None]
    original: Callable[..., None] | None = None
    classes: int | None = None
    """Number of tissues that the original project labels, from 1 on; None for the values of the dataset."""

    @property
    def original_labels(self) -> Mapping[str, int | tuple[int, int]]:
        if self.classes is None:
            return self.anatomy.labels
        return {tissue: place for place, tissue in enumerate(list(self.anatomy.labels)[: self.classes], start=1)}


PHANTOMS = {
    "bids": _Phantom(TISSUES, bids),
    "brats2018": _Phantom(GLIOMA, brats2018, split_folders),
    "folder": _Phantom(ABDOMEN, folder_pairs),
    "hvsmr": _Phantom(HEART, hvsmr, split_folders),
    "malc": _Phantom(STRUCTURES, malc, split_folders, classes=10),
    "msd": _Phantom(HIPPOCAMPUS, msd),
}
"""The datasets with phantoms."""


def write_volume_phantoms(
    name: str,
    folder: str | Path,
    *,
    layout: Layout = "released",
    count: int = 6,
    size: int = 40,
    seed: int = 0,
) -> Path:
    """Write a phantom of a volumetric dataset.

    Args:
        name: one of :data:`PHANTOMS`.
        folder: folder to write to.
        layout: ``"released"``, the layout of the dataset, or ``"original"``, that of the original project (only
            ``brats2018``, ``malc`` and ``hvsmr``).
        count: number of labeled cases, 2 or more.
        size: voxels per side, from 24 to 96.
        seed: seed of the first case.

    Returns:
        The folder.

    Raises:
        DatalistError: when the phantom or the layout is unknown, or a number is out of range.
    """
    if name not in PHANTOMS or layout not in LAYOUTS:
        raise DatalistError(
            f"there are phantoms of {', '.join(PHANTOMS)} in the layouts {', '.join(LAYOUTS)}, not of {name!r} in "
            f"{layout!r}."
        )
    phantom = PHANTOMS[name]
    writer = phantom.original if layout == "original" else phantom.released
    if writer is None:
        raise DatalistError(f"the original project has no {name}; do not pass --layout original.")
    if count < 2 or not SIZES[0] <= size <= SIZES[1]:
        raise DatalistError(f"count must be 2 or more and size from {SIZES[0]} to {SIZES[1]}, got {count} and {size}.")
    anatomy = phantom.anatomy if layout == "released" else replace(phantom.anatomy, labels=phantom.original_labels)
    cases = [render(anatomy, size=size, seed=seed + number) for number in range(count + 1)]
    writer(Path(folder), cases[:-1], cases[-1][0])
    return Path(folder)


def render(anatomy: Anatomy, *, size: int, seed: int) -> Volumes:
    """Return the images and the label map of one case.

    Args:
        anatomy: the anatomy; position, size and tilt vary with the seed, also of every ellipsoid.
        size: voxels per side.
        seed: seed of the case.
    """
    random = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, size)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    place = (grid - random.uniform(-0.08, 0.08, 3)) @ _tilt(random) / random.uniform(0.8, 1.0, 3)
    names = sorted({"", *(item.tissue for item in anatomy.ellipsoids)})
    tissue = np.full(grid.shape[:3], names.index(""))
    for ellipsoid in anatomy.ellipsoids:
        center, radii = random.uniform(-0.05, 0.05, 3), random.uniform(0.88, 1.12, 3)
        for each in _mirror(ellipsoid):
            inside = (((place - each.center - center) / (radii * each.radii)) ** 2).sum(-1) <= 1
            tissue[inside] = names.index(each.tissue)
    sides = np.array([_left_and_right(anatomy.labels.get(name, 0)) for name in names])
    label = np.where(place[..., 0] < 0, sides[tissue, 0], sides[tissue, 1])
    spots = gaussian_filter(random.normal(size=tissue.shape), size / GRAIN)
    uneven = 1 + TEXTURE * spots / spots.std()
    images = {}
    for modality, values in anatomy.contrasts.items():
        gray = np.array([values.get(name, 0) for name in names], dtype=float)[tissue] * uneven
        gray = gaussian_filter(gray, SMOOTHING) + random.normal(scale=NOISE * max(values.values()), size=gray.shape)
        images[modality] = _nifti(gray if anatomy.air else np.where(tissue == names.index(""), 0, gray), anatomy)
    return images, _nifti(label, anatomy, np.uint8)


def _nifti(voxels: np.ndarray, anatomy: Anatomy, dtype: type = np.int16) -> nib.Nifti1Image:
    affine = np.diag([*anatomy.spacing, 1.0])
    affine[:3, 3] = -(np.array(voxels.shape) - 1) / 2 * anatomy.spacing
    image = nib.Nifti1Image(np.rint(voxels).astype(dtype), affine)
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(anatomy.axes)
        )
    )
    turned.header.set_xyzt_units("mm")
    turned.set_sform(turned.affine, 1)
    turned.set_qform(turned.affine, 1)
    return turned


def _tilt(random: np.random.Generator) -> np.ndarray:
    """Return the rotation by a small angle about the axis to superior."""
    angle = np.radians(random.uniform(-12, 12))
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn


def _mirror(ellipsoid: Ellipsoid) -> list[Ellipsoid]:
    x, y, z = ellipsoid.center
    return [ellipsoid, replace(ellipsoid, center=(-x, y, z))] if ellipsoid.paired else [ellipsoid]


def _left_and_right(label: int | tuple[int, int]) -> tuple[int, int]:
    return label if isinstance(label, tuple) else (label, label)
