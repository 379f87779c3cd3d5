"""Label maps on the grid of the file, and numbers on the result, from class scores that come slab by slab."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bundle.grid.axis_places import AxisPlaces, aligned_axes, axis_places
from bundle.inference.label_features import cut_center, result_features
from bundle.inference.structure_sums import Planes, StructureSums

from .volume_image import VolumeImage

CHUNK = 2**22
"""Scores that are interpolated at once."""


class LabelAssembly:
    """Make the label map of a volume on the grid of its file, as :class:`bundle.grid.LabelMapAssembler` does.

    The result is the arg-max of the scores interpolated linearly on the grid of the file. Of what was there before a
    slab, one plane of scores is kept.

    Args:
        image: volume on the grid of the scores, whose axes run along those of its file.
        axis: axis along which slabs come.

    Attributes:
        labels: label map of the size of the file.
    """

    def __init__(self, image: VolumeImage, *, axis: int) -> None:
        matrix = np.linalg.solve(image.affine, image.file_affine)
        matrix[:3, 3] += matrix[:3, :3] @ [part.start for part in image.content]
        self.labels = np.zeros(image.file_shape, np.uint8, order="F")
        inside = self.labels[image.content]
        axes = aligned_axes(matrix, inside.shape)
        if axes is None:
            raise ValueError("the axes of the image do not run along those of its file.")
        self.axis, self.order = axis, [axis, *(other for other in range(3) if other != axis)]
        shape = image.values.shape[1:]
        self.places = [axis_places(axes.positions[other], shape[other]) for other in self.order]
        target = inside.transpose([axes.columns[other] for other in self.order])
        self.target = target[tuple(slice(place.first, place.first + len(place.low)) for place in self.places)]
        self.edge: np.ndarray | None = None
        self.count = 0

    def add(self, scores: np.ndarray) -> None:
        """Take the next slab of scores ``(K, D, H, W)``.

        Raises:
            ValueError: when scores are not finite.
        """
        if not np.isfinite(scores).all():
            raise ValueError("scores of the network are not finite; check its weights and the voxels of the input.")
        planes = np.ascontiguousarray(scores.transpose(0, *(other + 1 for other in self.order)))
        first, blends = self.count, self.places[0].blends
        self.count += planes.shape[1]
        if self.edge is not None:
            planes, first = np.concatenate([self.edge, planes], axis=1), first - 1
        low = self.places[0].low
        chosen = np.flatnonzero((low >= first) & (low < self.count - blends))
        step = max(CHUNK // max(len(planes) * math.prod(self.target.shape[1:]), 1), 1)
        for start in range(0, len(chosen), step):
            numbers = chosen[start : start + step]
            self.target[numbers] = self._labels(planes, numbers, first)
        self.edge = planes[:, -1:].copy() if blends else None

    def _labels(self, planes: np.ndarray, numbers: np.ndarray, first: int) -> np.ndarray:
        along = self.places[0]
        found = _between(planes, 1, along._replace(low=along.low[numbers] - first, share=along.share[numbers]))
        for axis, places in enumerate(self.places[1:], start=2):
            found = _between(found, axis, places)
        return highest_class(found)


class ResultNumbers:
    """Confidence of every structure and features of a result, as :class:`bundle.inference.FeatureAssembler` has them.

    Args:
        label_names: value of every structure by its name.
        classes: number of classes.
        axis: axis along which slabs come.
    """

    def __init__(self, label_names: Mapping[str, int], *, classes: int, axis: int) -> None:
        self.label_names, self.classes, self.axis = dict(label_names), classes, axis
        self.sums, self.probability = StructureSums(classes), 0.0
        self.labels: list[np.ndarray] = []

    def add(self, scores: np.ndarray) -> None:
        """Take the next slab of scores ``(K, D, H, W)``."""
        labels = highest_class(scores).astype(np.uint16)
        inside = labels > 0
        chosen = scores[:, inside]
        exponents = np.exp(chosen - chosen.max(0, initial=-np.inf))
        probability = exponents / exponents.sum(0)
        highest = np.sort(probability, axis=0)[-2:]
        logs = np.log(probability, out=np.zeros_like(probability), where=probability > 0)
        margin, entropy = (np.zeros(labels.shape, np.float32) for _ in range(2))
        margin[inside] = highest[1] - highest[0]
        entropy[inside] = -(probability * logs).sum(0) / math.log(self.classes)
        self.probability += float(highest[1].sum(dtype=np.float64))
        self.labels.append(labels)
        self.sums.add(Planes(*(np.moveaxis(values, self.axis, 0) for values in (labels, margin, entropy))))

    def features(self, affine: np.ndarray) -> dict[str, float]:
        """Return the features of the result."""
        return result_features(self._complete(), affine, self.label_names, probability=self.probability)

    def cut_center(self, affine: np.ndarray) -> tuple[float, ...] | None:
        """Return the center of the labels in the world if they touch the border, or else None."""
        return cut_center(self._complete(), affine)

    def structures(self) -> dict[str, dict[str, float]]:
        """Return the confidence of every structure by its name."""
        return self.sums.finish(self.label_names)

    def _complete(self) -> np.ndarray:
        return np.concatenate(self.labels, axis=self.axis)


def highest_class(scores: np.ndarray) -> np.ndarray:
    """Return the class of the highest score ``(K, ...)``, the first of equal ones, as uint8."""
    highest = scores[0].copy()
    labels = np.zeros(highest.shape, np.uint8)
    for number, values in enumerate(scores[1:], start=1):
        labels[values > highest] = number
        np.maximum(highest, values, out=highest)
    return labels


def _between(values: np.ndarray, axis: int, places: AxisPlaces) -> np.ndarray:
    """Return values interpolated along an axis."""
    below = values.take(places.low, axis)
    if not places.blends:
        return below
    share = places.share.reshape([-1 if other == axis else 1 for other in range(values.ndim)])
    above = values.take(places.low + 1, axis)
    above -= below
    above *= share
    above += below
    return above
