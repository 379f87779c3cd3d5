"""Label maps and other results on the original grid, that of the file."""

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

from .axis_places import aligned_axes
from .corner_rule import MAPS, ConfidenceMap, SlabLabels, label_dtype
from .crop_border import content_of
from .grids import AlignedGrid, Grid, ObliqueGrid


class LabelMapAssembler:
    """Make label maps on the grid of the file from class scores that come slab by slab.

    It is the assembler of a :class:`bundle.inference.SlabInferer` and stands in the section ``label_map`` of a config:
    here, and nowhere else, scores become the label map. It has to run inside the inferer, because the scores of all
    classes never exist for a whole volume, on neither grid. What the inferer returns lies on the grid of the file, so
    that no step of the postprocessing has to restore it.

    The result is the arg-max of the scores interpolated linearly on the grid of the file, as of MONAI's ``Invertd`` and
    then ``argmax``, except for ties within rounding. Scores on that grid are computed only where the corners of a cell
    disagree (:mod:`bundle.grid.corner_rule`), or everywhere when confidence maps are requested.

    The grid of the file is known from the metadata of the image: its affine against ``"original_affine"``, the size
    from ``"spatial_shape"``. So it works for flips, permutations, voxel sizes, crops, pads and any other affine
    preprocessing, by whatever transforms. Voxels beyond the border of the image take the nearest scores; those a whole
    voxel of the image or more beyond it, outside of a crop, are background. So is all of a border that
    :class:`.CropConstantBorderd` has cropped.

    Args:
        confidence: maps to make with the labels, of ``"probability"`` (largest softmax probability of the
            interpolated scores), ``"margin"`` (its lead over the second) and ``"entropy"`` (of the softmax, in units of
            ``log(K)``). They are uint8, 255 for 1, in the channels after the label map
            (:class:`bundle.grid.SplitConfidenceMapsd`); outside of a crop probability and margin are 0 and entropy is
            255.

    Raises:
        ValueError: when a map is unknown.

    Examples:
        >>> label_map = LabelMapAssembler(confidence=["margin"]).start(torch.zeros(1, 1, 4, 4, 2), classes=2, axis=2)
        >>> for _ in range(2):
        ...     label_map.add(torch.tensor([0.0, 9.0]).reshape(2, 1, 1, 1).expand(2, 4, 4, 1))
        >>> label_map.finish().shape, label_map.finish()[0, :, 0, 0, 0].tolist()
        (torch.Size([1, 2, 4, 4, 2]), [1, 255])
    """

    def __init__(self, *, confidence: Sequence[ConfidenceMap] = ()) -> None:
        if set(confidence) - set(MAPS):
            raise ValueError(f"confidence must name some of {', '.join(MAPS)}, got {list(confidence)}.")
        self.confidence = list(confidence)

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> LabelMapAssembly:
        """Return what takes the slabs of one case.

        Args:
            image: image ``(1, C, D, H, W)``; a plain tensor is its own original.
            classes: number of classes K.
            axis: spatial axis along which slabs come.

        Raises:
            ValueError: when there is no background class or the metadata lacks the original grid.
        """
        if classes < 2:
            raise ValueError(
                f"classes must be 2 or more to have an arg-max, got {classes}; add one for the background."
            )
        return LabelMapAssembly(image, classes, axis, self.confidence)


class LabelMapAssembly:
    """Label map of one case, while its slabs come, see :class:`LabelMapAssembler`."""

    def __init__(self, image: torch.Tensor, classes: int, axis: int, maps: Sequence[str]) -> None:
        self.image, self.maps = image, maps
        matrix, size = original_grid(image)
        dims = len(size)
        storage = torch.zeros([1 + len(maps), *size[::-1]], dtype=label_dtype(classes), device=image.device)
        for channel, name in enumerate(maps, start=1):
            storage[channel] = 255 if name == "entropy" else 0
        self.values = storage.permute(0, *range(dims, 0, -1))
        content = content_of(image)
        target = self.values
        if content is not None:
            box, _ = content
            target = target[(slice(None), *box)]
            matrix[:dims, -1] += matrix[:dims, :dims] @ [part.start for part in box]
        self.labels = SlabLabels(_grid(matrix, image.shape[2:], target, axis), maps)

    def add(self, scores: torch.Tensor) -> None:
        """Take the next slab of scores ``(K, D, H, W)`` on the grid of the image."""
        with torch.no_grad(), torch.autocast(scores.device.type, enabled=False):
            self.labels.add(scores)

    def finish(self) -> torch.Tensor:
        """Return labels, and maps as further channels, ``(1, 1 + maps, ...)`` on the grid of the file."""
        result = self.values[None]
        if not isinstance(self.image, MetaTensor):
            return result
        meta = dict(self.image.meta)
        if "original_affine" in meta:
            meta["affine"] = torch.as_tensor(np.asarray(meta["original_affine"]), dtype=torch.float64)
        result = MetaTensor(result, meta=meta, applied_operations=[[]] if self.image.is_batch else [])
        result.is_batch = self.image.is_batch
        return result


class SplitConfidenceMapsd(MapTransform):
    """Split the result of :class:`LabelMapAssembler` into the label map and its confidence maps.

    Channel 0 stays under the key; the others become ``"<key>_probability"`` and so on.

    Args:
        keys: keys of the results ``(1 + maps, D, H, W)``.
        names: names of the maps, as ``confidence`` of :class:`LabelMapAssembler`.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> data = SplitConfidenceMapsd("pred", names=["margin"])({"pred": torch.zeros(2, 4, 4, 4)})
        >>> {key: tuple(value.shape) for key, value in data.items()}
        {'pred': (1, 4, 4, 4), 'pred_margin': (1, 4, 4, 4)}
    """

    def __init__(self, keys: KeysCollection, *, names: Sequence[str] = (), allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.names = list(names)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the data with label maps and confidence maps ``(1, D, H, W)``.

        Raises:
            ValueError: when the number of channels is not that of the names.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            if len(d[key]) != 1 + len(self.names):
                raise ValueError(f"{key} must have a label map and the maps {self.names}, got {len(d[key])} channels.")
            entries = [key, *(f"{key}_{name}" for name in self.names)]
            d.update(zip(entries, d[key].split(1), strict=True))
        return d


class RestoreGridd(MapTransform):
    """Bring the result of an inferer without assembler to the grid of the file, as a label map.

    The result goes through MONAI's ``Invertd``, scores by linear interpolation and labels by their nearest voxels;
    scores of several classes then become their arg-max. A result that lies on the grid of the file stays there.

    Args:
        keys: keys of the results ``(C, D, H, W)``.
        transform: preprocessing to undo.
        orig_keys: keys of the images that the results were made from.
        allow_missing_keys: skip missing keys.
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
            if not _lies_on_original_grid(d[key], d[orig_key]):
                nearest = not d[key].is_floating_point()
                d = Invertd(key, self.transform, orig_keys=orig_key, nearest_interp=nearest, to_tensor=False)(d)
            d[key] = _labels(d[key])
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
    axes = aligned_axes(matrix, target.shape[1:])
    if axes is None:
        return ObliqueGrid(matrix[: len(shape)], shape, target, axis=axis)
    places = [torch.as_tensor(each) for each in axes.positions]
    return AlignedGrid(places, shape, target.permute(0, *(column + 1 for column in axes.columns)), axis=axis)


def _lies_on_original_grid(result: MetaTensor, image: MetaTensor) -> bool:
    matrix, size = original_grid(image[None])
    original = np.asarray(image.affine, dtype=float) @ matrix
    return list(result.shape[1:]) == size and np.allclose(np.asarray(result.affine), original, atol=1e-6)


def _labels(result: MetaTensor) -> MetaTensor:
    """Return the arg-max of scores of several classes; anything else as it is."""
    if not result.is_floating_point() or len(result) == 1:
        return result
    values = result.as_tensor()
    labels = torch.empty([1, *values.shape[1:]], dtype=label_dtype(len(values)), device=values.device)
    for plane, scores in zip(labels.unbind(1), values.unbind(1), strict=True):
        plane.copy_(scores.argmax(0, keepdim=True))
    return MetaTensor(labels, meta=result.meta, applied_operations=result.applied_operations)
