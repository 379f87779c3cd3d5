"""A volume and where its voxels lie: read, turned to RAS, cropped and resampled, as the workflows do it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bundle.grid.constant_border import box_on_file, content_box, cropped_remark
from bundle.grid.resampled_grid import block_positions, block_sizes, resampled_grid
from bundle.io.compressed_nifti import open_nifti
from bundle.io.input_checks import ChannelsError, UnreadableFileError, check_header, check_voxels
from bundle.io.length_units import nifti_affine

logger = logging.getLogger(__name__)

CHUNK = 16
"""Slices per step, so that temporaries stay small compared with the volume."""

TILE = 8
"""Columns that are copied at once where the order of the voxels changes, so that they stay in the cache."""


@dataclass(frozen=True)
class VolumeImage:
    """A volume with its place in the world and in its file.

    Attributes:
        values: voxels ``(C, R, A, S)``, float32.
        affine: from voxels to the world in mm.
        file_shape: size of the file.
        file_affine: from voxels of the file to the world in mm.
        content: ranges of the file that are not a constant border.
        remarks: remarks on the file, as sentences for the user.
    """

    values: np.ndarray
    affine: np.ndarray
    file_shape: tuple[int, ...]
    file_affine: np.ndarray
    content: tuple[slice, ...]
    remarks: tuple[str, ...] = ()

    @property
    def extent_mm(self) -> list[float]:
        """Size along the axes in mm."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        return [float(count * step) for count, step in zip(self.values.shape[1:], spacing, strict=True)]

    def part(self, box: Sequence[slice]) -> VolumeImage:
        """Return a box of the volume."""
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
        return replace(self, values=self.values[(slice(None), *box)], affine=affine)


def load_volume(
    file: str | Path, *, channels: Sequence[str], spacing_range: Sequence[float], crop_border: bool
) -> VolumeImage:
    """Read a NIfTI file under the contract for bad input, in RAS orientation.

    Args:
        file: path of the file; several channels are its fourth axis.
        channels: names of the channels.
        spacing_range: smallest and largest voxel size in mm.
        crop_border: whether a constant border is cropped.

    Raises:
        BadInputError: of the type that says what is wrong, see :mod:`bundle.io.input_checks`.
    """
    remarks = check_header(file, spacing_range, stacked=len(channels) > 1)
    values, affine = _read(file)
    remarks += check_voxels(file, values)
    for remark in remarks:
        logger.warning("%s: %s", file, remark)
    if len(values) != len(channels):
        raise ChannelsError(
            file,
            f"the image has the wrong number of channels, {len(values)}; {len(channels)} are expected "
            f"({', '.join(channels)})",
            "save them as the fourth axis of one file, in this order",
        )
    shape = values.shape[1:]
    turned, turned_affine = _to_ras(values, affine)
    del values
    box = content_box(turned) if crop_border else tuple(slice(0, size) for size in turned.shape[1:])
    content, _ = box_on_file(box, turned.shape[1:], np.linalg.solve(affine, turned_affine))
    cropped = cropped_remark(box, turned.shape[1:])
    image = VolumeImage(turned, turned_affine, shape, affine, tuple(content), (*remarks, *cropped))
    return image.part(box)


def resample(image: VolumeImage, spacing: Sequence[float | None], *, antialias: bool = False) -> VolumeImage:
    """Return a volume at another voxel size, as :class:`bundle.grid.ResampleSpacingd` does.

    Args:
        image: the volume.
        spacing: voxel size in mm; None keeps an axis.
        antialias: average blocks of voxels where the new ones have twice the size or more.
    """
    size = image.values.shape[1:]
    grid = resampled_grid(size, image.affine, spacing)
    values, sources = image.values, grid.sources
    if antialias:
        blocks = block_sizes(grid.scale, size)
        values, sources = block_means(values, blocks), block_positions(sources, blocks)
    for axis, source in enumerate(sources, start=1):
        values = _interpolate(values, axis, source)
    return replace(image, values=values, affine=grid.affine)


def block_means(values: np.ndarray, blocks: Sequence[int]) -> np.ndarray:
    """Return the means of complete blocks of voxels ``(C, D, H, W)``."""
    if max(blocks) == 1:
        return values
    counts = [size // block for size, block in zip(values.shape[1:], blocks, strict=True)]
    inside = values[(slice(None), *(slice(0, n * block) for n, block in zip(counts, blocks, strict=True)))]
    split = inside.reshape(len(values), *(side for pair in zip(counts, blocks, strict=True) for side in pair))
    means: np.ndarray = split.mean((2, 4, 6), dtype=np.float32)
    return means


def _read(file: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels ``(C, D, H, W)`` of the type in which they are stored, and affine of a NIfTI file."""
    try:
        with open_nifti(file) as image:
            voxels = np.asarray(image.dataobj)
    except MemoryError:
        raise
    except Exception as error:
        raise UnreadableFileError(
            file, f"the voxels cannot be read ({error})", "the file may be cut off; copy or export it again"
        ) from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    return np.moveaxis(voxels, 3, 0) if voxels.ndim == 4 else voxels[None], nifti_affine(image)


def _to_ras(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume in RAS orientation, float32 and contiguous, so that steps along its axes are fast."""
    turn = nib.io_orientation(affine)
    turned = np.moveaxis(nib.apply_orientation(np.moveaxis(values, 0, -1), turn), -1, 0)
    result = np.empty(turned.shape, np.float32)
    for start in range(0, turned.shape[-1], TILE):
        result[..., start : start + TILE] = turned[..., start : start + TILE]
    return result, affine @ nib.orientations.inv_ornt_aff(turn, values.shape[1:])


def _interpolate(values: np.ndarray, axis: int, source: np.ndarray) -> np.ndarray:
    """Sample values at positions along an axis; beyond the ends the border voxel counts."""
    last = values.shape[axis] - 1
    if np.array_equal(source, np.arange(last + 1)):
        return values
    source = source.clip(0, last)
    low = np.floor(source).astype(np.int64).clip(max=max(last - 1, 0))
    values = np.ascontiguousarray(values)
    share = (source - low).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    result = np.empty([*values.shape[:axis], len(source), *values.shape[axis + 1 :]], np.float32)
    for start in range(0, len(source), CHUNK):
        place = (*[slice(None)] * axis, slice(start, start + CHUNK))
        below = values.take(low[start : start + CHUNK], axis)
        above = values.take(np.minimum(low[start : start + CHUNK] + 1, last), axis)
        np.subtract(above, below, out=above)
        np.multiply(above, share[place], out=above)
        np.add(below, above, out=result[place])
    return result
