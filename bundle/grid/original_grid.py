"""The way back of a result to the grid of its file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import Invertd, InvertibleTransform, MapTransform
from monai.utils import ensure_tuple_rep

from .corner_rule import MAPS, SlabLabels, label_dtype
from .grids import AlignedGrid, Grid, ObliqueGrid

ON_ORIGINAL_GRID = "on_original_grid"
"""Metadata of a result: True when it lies on the grid of its file."""

CONFIDENCE_MAPS = "confidence_maps"
"""Metadata of a result: names of the maps in its channels behind the labels, parted by spaces."""

MISALIGNED = 1e-3
"""Axes count as aligned when their ends are off by less than this many voxels."""


class GridAssembler:
    """Make label maps on the grid of the file from class scores that come slab by slab.

    An assembler for :class:`bundle.inference.SlabInferer`. The result is the arg-max of the scores interpolated
    linearly on the grid of the file, as of MONAI's ``Invertd`` and then ``argmax``, but for ties within rounding.
    Scores of all classes never exist for a whole volume, on neither grid; those on the grid of the file are computed
    only where the corners of a cell disagree (:mod:`bundle.grid.corner_rule`), or everywhere when maps are asked
    for.

    The grid of the file is known from the metadata of the image: its affine against ``"original_affine"``, the size
    from ``"spatial_shape"``. So it works for flips, permutations, voxel sizes, crops, pads and any other affine
    preprocessing, by whatever transforms. Voxels beyond the border of the image take the nearest scores; those a whole
    voxel of the image or more beyond it, outside of a crop, are background.

    Args:
        confidence: maps to make beside the labels, of ``"probability"`` (largest softmax probability of the
            interpolated scores), ``"margin"`` (its lead over the second) and ``"entropy"`` (of the softmax, in units of
            ``log(K)``). They are uint8, 255 for 1; outside of a crop probability and margin are 0 and entropy is 255.

    Raises:
        ValueError: when a map is unknown.
    """

    def __init__(self, *, confidence: Sequence[str] = ()) -> None:
        if set(confidence) - set(MAPS):
            raise ValueError(f"confidence must name some of {', '.join(MAPS)}, got {list(confidence)}.")
        self.confidence = list(confidence)

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> GridAssembly:
        """Return what takes the slabs of one case.

        Args:
            image: image ``(1, C, D, H, W)``; a plain tensor is its own original.
            classes: number of classes K.
            axis: spatial axis along which slabs come.

        Raises:
            ValueError: when there is no background class or the metadata does not tell the original grid.
        """
        if classes < 2:
            raise ValueError(
                f"classes must be 2 or more to have an arg-max, got {classes}; add one for the background."
            )
        return GridAssembly(image, classes, axis, self.confidence)


class GridAssembly:
    """Result of one case in the making, see :class:`GridAssembler`."""

    def __init__(self, image: torch.Tensor, classes: int, axis: int, maps: Sequence[str]) -> None:
        self.image, self.maps = image, maps
        matrix, size = original_grid(image)
        dims = len(size)
        storage = torch.zeros([1 + len(maps), *size[::-1]], dtype=label_dtype(classes), device=image.device)
        for channel, name in enumerate(maps, start=1):
            storage[channel] = 255 if name == "entropy" else 0
        self.values = storage.permute(0, *range(dims, 0, -1))
        self.labels = SlabLabels(_grid(matrix, image.shape[2:], self.values, axis), maps)

    def add(self, scores: torch.Tensor) -> None:
        """Take the next slab of scores ``(K, D, H, W)`` on the grid of the image."""
        with torch.no_grad(), torch.autocast(scores.device.type, enabled=False):
            self.labels.add(scores)

    def finish(self) -> torch.Tensor:
        """Return labels, and maps as further channels, ``(1, 1 + maps, ...)`` on the grid of the file."""
        result = self.values[None]
        if not isinstance(self.image, MetaTensor):
            return result
        meta = {**self.image.meta, ON_ORIGINAL_GRID: True, CONFIDENCE_MAPS: " ".join(self.maps)}
        if "original_affine" in meta:
            meta["affine"] = torch.as_tensor(np.asarray(meta["original_affine"]), dtype=torch.float64)
        result = MetaTensor(result, meta=meta, applied_operations=[[]] if self.image.is_batch else [])
        result.is_batch = self.image.is_batch
        return result


class RestoreGridd(MapTransform):
    """Bring results to the grid of the file as label maps, whatever inferer they come from.

    A result of :class:`GridAssembler` is there already: its maps of confidence become entries of their own,
    ``"<key>_probability"`` and so on, and the metadata of the labels gets their means a label as ``"confidence"``,
    ``{"probability": {1: 0.97}}``. Any other result goes through MONAI's ``Invertd``, scores by their interpolation and
    labels by their nearest voxels, and scores of several classes then become their arg-max.

    Args:
        keys: keys of the results ``(C, D, H, W)``.
        transform: preprocessing to undo.
        orig_keys: keys of the images that the results were made from.
        allow_missing_keys: do nothing for a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        transform: InvertibleTransform,
        *,
        orig_keys: KeysCollection = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform, self.orig_keys = transform, ensure_tuple_rep(orig_keys, len(self.keys))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with label maps ``(1, D, H, W)`` on the grids of the files."""
        d = dict(data)
        for key, orig_key in self.key_iterator(d, self.orig_keys):
            result = d[key]
            if isinstance(result, MetaTensor) and result.meta.get(ON_ORIGINAL_GRID):
                d.update(_parts(str(key), result))
                continue
            invert = Invertd(
                key, self.transform, orig_keys=orig_key, nearest_interp=not result.is_floating_point(), to_tensor=False
            )
            d[key] = _labels(invert(d)[key])
        return d


def original_grid(image: torch.Tensor) -> tuple[np.ndarray, list[int]]:
    """Return the affine from voxels of the file to voxels of the image ``(1, C, ...)``, and the size of the file.

    Raises:
        ValueError: when the image was changed and its metadata lacks the size of the file.
    """
    dims, size = image.ndim - 2, list(image.shape[2:])
    if not isinstance(image, MetaTensor) or "original_affine" not in image.meta:
        return np.eye(dims + 1), size
    before, after = (_affine(value, dims) for value in (image.meta["original_affine"], image.affine))
    matrix = np.linalg.solve(after, before)
    if "spatial_shape" in image.meta:
        return matrix, [int(count) for count in np.asarray(image.meta["spatial_shape"]).reshape(-1)[:dims]]
    if np.allclose(matrix, np.eye(dims + 1), atol=1e-6):
        return matrix, size
    raise ValueError("image was moved to another grid, but its metadata lacks 'spatial_shape', the size of its file.")


def _affine(value: Any, dims: int) -> np.ndarray:
    matrix = np.asarray(value, dtype=float)
    return to_affine_nd(dims, matrix.reshape(-1, *matrix.shape[-2:])[0])


def _grid(matrix: np.ndarray, shape: Sequence[int], target: torch.Tensor, axis: int) -> Grid:
    """Return where the voxels of ``target`` lie on a grid of ``shape``, by ``matrix``."""
    dims = len(shape)
    order = [int(row) for row in np.abs(matrix[:dims, :dims]).argmax(0)]
    size = target.shape[1:]
    rest = np.abs(matrix[:dims, :dims]) * (np.array(size) - 1)
    rest[order, range(dims)] = 0
    if sorted(order) != list(range(dims)) or rest.max() > MISALIGNED:
        return ObliqueGrid(matrix[:dims], shape, target, axis=axis)
    columns = [order.index(row) for row in range(dims)]
    steps = [torch.arange(size[column], dtype=torch.float64) for column in columns]
    positions = [
        step * matrix[row, column] + matrix[row, dims]
        for row, (column, step) in enumerate(zip(columns, steps, strict=True))
    ]
    return AlignedGrid(positions, shape, target.permute(0, *(column + 1 for column in columns)), axis=axis)


def _parts(key: str, result: MetaTensor) -> dict[str, MetaTensor]:
    names = str(result.meta.get(CONFIDENCE_MAPS, "")).split()
    parts = dict(zip([key, *(f"{key}_{name}" for name in names)], result.split(1), strict=True))
    if names:
        labels = parts[key].as_tensor()[0]
        means = {name: _means(labels, parts[f"{key}_{name}"].as_tensor()[0]) for name in names}
        parts[key].meta["confidence"] = means
    return parts


def _means(labels: torch.Tensor, values: torch.Tensor) -> dict[int, float]:
    """Return the mean of a map over every label that occurs, with 1 for 255, plane by plane."""
    count = int(labels.max()) + 1
    total, voxels = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    for label, value in zip(labels.unbind(-1), values.unbind(-1), strict=True):
        index = label.flatten().long().cpu()
        total += torch.bincount(index, value.flatten().double().cpu(), minlength=count)
        voxels += torch.bincount(index, minlength=count)
    return {int(i): float(total[i] / voxels[i] / 255) for i in voxels.nonzero()[:, 0]}


def _labels(result: MetaTensor) -> MetaTensor:
    """Return the arg-max of scores of several classes; anything else as it is."""
    if not result.is_floating_point() or len(result) == 1:
        return result
    values = result.as_tensor()
    labels = torch.empty([1, *values.shape[1:]], dtype=label_dtype(len(values)), device=values.device)
    for plane, scores in zip(labels.unbind(1), values.unbind(1), strict=True):
        plane.copy_(scores.argmax(0, keepdim=True))
    return MetaTensor(labels, meta=result.meta, applied_operations=result.applied_operations)
