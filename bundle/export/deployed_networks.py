"""Networks with preprocessing and postprocessing inside, as they are exported.

Every module takes raw values on the grid of the model, of any batch and spatial size, and returns probabilities and
labels. Only operations that ONNX has are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

STATISTICS = 4
"""Numbers that standardize an image: lower and upper limit, mean, and the inverse of the standard deviation."""


class DeployedVolumes(nn.Module):
    """Segment volumes ``(B, C, D, H, W)`` of one window.

    Volumes are clipped and standardized as :class:`bundle.transforms.StandardizeIntensityd` does for an image without a
    constant border, and padded with zeros to the window, as :class:`bundle.inference.SlabInferer` does.

    Args:
        network: network that returns logits of exclusive classes, the background first.
        roi_size: window of the training.
        percentiles: lower and upper percentile, 0 to 100; None does not clip.
    """

    def __init__(
        self, network: nn.Module, *, roi_size: Sequence[int], percentiles: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.network, self.roi_size, self.percentiles = network, list(roi_size), percentiles

    def forward(self, image: torch.Tensor, statistics: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return scores and probabilities ``(B, K, D, H, W)``, labels ``(B, 1, D, H, W)`` and statistics ``(B, 4)``.

        Args:
            image: raw values.
            statistics: ``(1, 4)`` or ``(B, 4)``, those of a larger volume that the image is a window of; NaN for those
                of the image.
        """
        used = known_or_own(statistics, image, self.percentiles)
        low, high, mean, scale = (used[:, i].reshape(-1, 1, 1, 1, 1) for i in range(STATISTICS))
        values = ((torch.minimum(torch.maximum(image.double(), low), high) - mean) * scale).float()
        before, after = [], []
        for size, length in zip(image.shape[2:], self.roi_size, strict=True):
            missing = torch.sym_max(length - size, 0)
            before.append(missing // 2)
            after.append(missing - missing // 2)
        sides = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
        scores = self.network(functional.pad(values, sides))
        for axis, (low_pad, size) in enumerate(zip(before, image.shape[2:], strict=True), start=2):
            scores = scores.narrow(axis, low_pad, size)
        return scores, softmax_of_classes(scores), scores.argmax(1, keepdim=True).to(torch.uint8), used


class DeployedFinder(nn.Module):
    """Find regions in a standardized volume ``(1, 1, D, H, W)`` on a coarse grid, of sizes that the network takes.

    Args:
        network: network that returns logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities ``(1, K, D, H, W)``."""
        return torch.softmax(self.network(image), 1)


class DeployedDiscs(nn.Module):
    """Compute the heat maps of discs in a volume ``(1, 1, R, A, S)``, and their peaks.

    Args:
        network: network that returns one map per level, of a quarter of the size of a slab.
        percentiles: lower and upper percentile, 0 to 100.
    """

    def __init__(self, network: nn.Module, *, percentiles: Sequence[float]) -> None:
        super().__init__()
        self.network, self.percentiles = network, percentiles

    def forward(
        self, image: torch.Tensor, weights: torch.Tensor, statistics: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps ``(N, C, a, s)`` and peaks ``(C, 3)``: response, row and column of the cell in the highest map.

        Args:
            image: raw values, axes R, A, S.
            weights: share of every slice in every slab ``(N, R)``; the rows have the sum 1.
            statistics: ``(1, 4)``, those of the image without a constant border; NaN for those of the image.
        """
        low, high, mean, scale = known_or_own(statistics, image, self.percentiles)[0].unbind()
        values = ((torch.minimum(torch.maximum(image[0, 0].double(), low), high) - mean) * scale).float()
        slabs = torch.einsum("nr,ras->nas", weights, values)[:, None]
        maps = self.network(slabs)
        highest = maps.amax(0)
        response, cell = highest.flatten(1).max(1)
        columns = highest.shape[2]
        row = torch.div(cell, columns, rounding_mode="floor")
        return maps, torch.stack([response, row.to(response.dtype), (cell - row * columns).to(response.dtype)], 1)


class DeployedMasks(nn.Module):
    """Segment color images ``(B, 3, H, W)`` with values from 0 to 1, of any size.

    Every channel gets zero mean and unit variance, as :class:`bundle.transforms.NormalizeContentd` does for an image
    without a border. The image is resized to the input size of the network, and the
    scores are resized back, as :class:`bundle.tasks.images.ImageTilesInferer` does without tiles.

    Args:
        network: network that returns logits.
        roi_size: input size of the network.
        threshold: probability above which a pixel of a single structure is labeled.
        softmax: classes are exclusive, and the first is the background.
        mirrorings: lists of axes of the batch to mirror, the empty one for none; the scores are their mean.
        feature_level: feature of the trunk of the network whose means are returned, too, by which images unlike the
            training images are recognized (:class:`bundle.inference.FeatureDistanceInferer`); None for none.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        roi_size: Sequence[int],
        threshold: float,
        softmax: bool,
        mirrorings: Sequence[Sequence[int]] = ((),),
        feature_level: int | None = None,
    ) -> None:
        super().__init__()
        self.network, self.roi_size, self.mirrorings = network, list(roi_size), [list(axes) for axes in mirrorings]
        self.threshold, self.softmax, self.feature_level = threshold, softmax, feature_level

    def forward(self, image: torch.Tensor, statistics: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return probabilities ``(B, K, H, W)``, labels ``(B, 1, H, W)``, and the means of a feature ``(B, C)``.

        Args:
            image: raw values.
            statistics: means and standard deviations of the channels, ``(1, 2, 3)`` or ``(B, 2, 3)``; NaN for those of
                the image.
        """
        mean = image.mean((2, 3))
        deviation = (image - mean[:, :, None, None]).square().mean((2, 3)).sqrt()
        used = torch.where(torch.isnan(statistics), torch.stack([mean, deviation], 1), statistics)
        mean, deviation = used[:, 0, :, None, None], used[:, 1, :, None, None]
        values = (image - mean) / torch.where(deviation == 0, torch.ones_like(deviation), deviation)
        small = resized(values, self.roi_size)
        mirrored = [self.network(small.flip(axes)).flip(axes) for axes in self.mirrorings]
        scores = resized(torch.stack(mirrored).mean(0), image.shape[2:])
        probabilities = torch.softmax(scores, 1) if self.softmax else torch.sigmoid(scores)
        found = scores.argmax(1, keepdim=True) if self.softmax else probabilities > self.threshold
        features = [] if self.feature_level is None else [_feature_means(self.network, small, self.feature_level)]
        return probabilities, found.to(torch.uint8), *features


class DeployedClasses(nn.Module):
    """Classify color images ``(B, 3, H, W)`` with values from 0 to 1, of any size.

    The image is resized and normalized, and the logits of fixed crops are averaged, as
    :class:`bundle.tasks.classification.CropAverageInferer` does.

    Args:
        network: network that returns logits ``(N, K)``.
        image_size: size that an image is resized to.
        roi_size: input size of the network, to which crops are resized.
        boxes: rows and columns of the crops.
        mirror: also use every crop mirrored left to right.
        normalization: ``"subtrahend"`` and ``"divisor"`` of the channels.
        temperature: one per class.
        thresholds: probability of every class above which an image is positive.
        feature_level: feature of the trunk of the network whose means are returned, too, by which images unlike the
            training images are recognized (:class:`bundle.inference.FeatureDistanceInferer`); None for none.
    """

    subtrahend: torch.Tensor
    divisor: torch.Tensor
    temperature: torch.Tensor
    thresholds: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        image_size: Sequence[int],
        roi_size: Sequence[int],
        boxes: Sequence[tuple[slice, slice]],
        mirror: bool = False,
        normalization: Mapping[str, Sequence[float]],
        temperature: Sequence[float],
        thresholds: Sequence[float],
        feature_level: int | None = None,
    ) -> None:
        super().__init__()
        self.network, self.mirror, self.feature_level = network, mirror, feature_level
        self.image_size, self.roi_size, self.boxes = list(image_size), list(roi_size), list(boxes)
        for name in ("subtrahend", "divisor"):
            self.register_buffer(name, torch.tensor(normalization[name]).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("temperature", torch.tensor(list(temperature)), persistent=False)
        self.register_buffer("thresholds", torch.tensor(list(thresholds)), persistent=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return probabilities and decisions ``(B, K)``, and the means of a feature ``(B, C)``."""
        values = (resized(image, self.image_size) - self.subtrahend) / self.divisor
        crops = [resized(values[(..., *box)], self.roi_size) for box in self.boxes]
        if self.mirror:
            crops += [crop.flip(-1) for crop in crops]
        logits = torch.stack([self.network(crop) for crop in crops]).mean(0)
        probabilities = torch.sigmoid(logits / self.temperature)
        decisions = (probabilities > self.thresholds).to(torch.uint8)
        features = [] if self.feature_level is None else [_feature_means(self.network, crops[0], self.feature_level)]
        return probabilities, decisions, *features


def _feature_means(network: nn.Module, images: torch.Tensor, level: int) -> torch.Tensor:
    """Return the means ``(B, C)`` of the channels of a feature of the trunk of a network."""
    trunk: Any = network.trunk
    means: torch.Tensor = trunk(images)[level].flatten(2).mean(2)
    return means


def resized(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return maps ``(N, C, H, W)`` at another size, as ``functional.interpolate`` does with ``antialias``.

    ONNX Runtime's own resizing differs from PyTorch's by more than rounding.
    """
    rows, columns = (_shares(maps, axis, length) for axis, length in zip((2, 3), size, strict=True))
    return torch.matmul(torch.matmul(rows, maps), columns.t())


def _shares(maps: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    """Return the share of every pixel along an axis in every pixel of the new size, ``(length, n)``."""
    count = maps.shape[axis]
    old = torch.arange(count, dtype=torch.float64)
    new = torch.arange(length, dtype=torch.float64)
    scale = torch.ones_like(old[:1]) * count / length
    width = scale.clamp(min=1.0)
    distance = (old[None] + 0.5 - scale * (new[:, None] + 0.5)) / width
    weights = (1 - distance.abs()).clamp(min=0.0)
    return (weights / weights.sum(1, keepdim=True)).float()


def softmax_of_classes(scores: torch.Tensor) -> torch.Tensor:
    """Return the softmax over axis 1, by steps that are four times as fast in ONNX Runtime 1.31 as its softmax."""
    exponents = (scores - scores.amax(1, keepdim=True)).exp()
    return exponents / exponents.sum(1, keepdim=True)


def known_or_own(statistics: torch.Tensor, image: torch.Tensor, percentiles: Sequence[float] | None) -> torch.Tensor:
    """Return the numbers ``(B, 4)`` that standardize images: those given, and for NaN the own of each image.

    Only the branch that is needed runs, since the percentiles sort all voxels of the image.
    """

    def own(statistics: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.isnan(statistics), standardization(image, percentiles), statistics.double())

    def known(statistics: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        return statistics.double() + torch.zeros_like(image[:, :1].flatten(1)[:, :1], dtype=torch.float64)

    return torch.cond(torch.isnan(statistics).any(), own, known, (statistics, image))


def standardization(image: torch.Tensor, percentiles: Sequence[float] | None) -> torch.Tensor:
    """Return the numbers ``(B, 4)`` that standardize images ``(B, ...)``, float64, see :data:`STATISTICS`.

    An image that the limits would make constant is not clipped.
    """
    values = image.flatten(1).double()
    ends = torch.stack([values.amin(1), values.amax(1)], 1)
    limits = ends
    if percentiles is not None:
        ordered = torch.sort(values, 1).values
        last = torch.ones_like(values[:1]).sum() - 1
        found = [_between(ordered, last * (percentile / 100)) for percentile in percentiles]
        limits = torch.stack(found, 1)
        limits = torch.where(limits[:, :1] == limits[:, 1:], ends, limits)
    clipped = torch.minimum(torch.maximum(values, limits[:, :1]), limits[:, 1:])
    mean = clipped.mean(1, keepdim=True)
    variance = (clipped - mean).square().mean(1, keepdim=True)
    scale = torch.where(variance > 0, variance, torch.ones_like(variance)).rsqrt()
    return torch.cat([limits, mean, scale], 1)


def _between(ordered: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the values at a fractional place of sorted rows ``(B, n)``, as ``torch.quantile`` does."""
    low = torch.floor(place)
    below, above = (ordered.index_select(1, end.long().reshape(1))[:, 0] for end in (low, torch.ceil(place)))
    return torch.lerp(below, above, (place - low).to(ordered.dtype))
