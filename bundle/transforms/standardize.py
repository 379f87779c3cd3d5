"""Standardization of intensities with the statistics of the content of an image, without its constant border."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, NormalizeIntensity
from monai.utils import convert_to_dst_type

from bundle.grid.constant_border import Content, excluded_remark, find_content
from bundle.utils.image_remarks import add_remarks

SLAB = 16
"""Slices per step, so that temporaries stay small compared with the volume."""

SAMPLE = 2**20
"""Voxels at most that percentiles are computed from, spread evenly over the volume."""


class Statistics(NamedTuple):
    """Numbers by which an image is standardized.

    Attributes:
        limits: values at which it is clipped; None for no clipping.
        mean: mean after clipping.
        scale: inverse of the standard deviation.
    """

    limits: tuple[float, float] | None
    mean: float
    scale: float


class StandardizeIntensityd(MapTransform):
    """Clip every image ``(C, ...)`` at two percentiles and give it zero mean and unit variance over all its voxels.

    A constant border (:mod:`bundle.grid.constant_border`) does not count in percentiles, mean and variance, so
    that padding or a mask does not change the intensities of the content; what was excluded is a remark. Without border
    and percentiles the numbers are those of MONAI's ``NormalizeIntensityd``, which needs three times the volume; here
    it is twice. Mean and variance are accumulated in float64, since intensities may reach 10^6. Clipping keeps a few
    bright vessels from deciding the contrast. If it would make an image constant that is not, it is not clipped, with a
    remark. A constant image becomes zero.

    Args:
        keys: keys of the images.
        percentiles: lower and upper percentile, 0 to 100; of more than 2**20 voxels an even sample is taken. None does
            not clip.
        exclude_border: exclude a constant border from the statistics; false for networks that were trained without.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the percentiles are not two increasing numbers from 0 to 100.

    Examples:
        >>> image = torch.tensor([[1.0, 2.0, 3.0, 1000.0]])
        >>> StandardizeIntensityd("image", percentiles=[0, 75])({"image": image})["image"].mean().item()
        0.0
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        percentiles: Sequence[float] | None = None,
        exclude_border: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if percentiles is not None and not (len(percentiles) == 2 and 0 <= percentiles[0] < percentiles[1] <= 100):
            raise ValueError(f"percentiles must be two increasing numbers from 0 to 100 or null, got {percentiles}.")
        self.percentiles, self.exclude_border = percentiles, exclude_border

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Standardize the images; the originals are not touched."""
        d = dict(data)
        for key in self.key_iterator(d):
            source, values = d[key], _values(d[key])
            used, remarks = self._statistics(values)
            d[key] = convert_to_dst_type(_standardize(values, used), source, dtype=torch.float32)[0]
            add_remarks(d[key], remarks)
        return d

    def statistics(self, image: torch.Tensor) -> Statistics:
        """Return the numbers by which an image ``(C, ...)`` is standardized."""
        return self._statistics(_values(image))[0]

    def _statistics(self, values: torch.Tensor) -> tuple[Statistics, list[str]]:
        content = find_content(values) if self.exclude_border else Content(values, 1.0)
        limits = None if self.percentiles is None else _percentiles(content.values, self.percentiles)
        remarks = excluded_remark(content)
        if limits is not None and limits[0] == limits[1] and bool((content.values != limits[0]).any()):
            remarks.append(f"not clipped, as more than {min(self.percentiles or ()):g} % of all voxels are equal")
            limits = None
        return _moments(content, limits, values.ndim), remarks


class NormalizeContentd(MapTransform):
    """Give every channel of an image ``(C, ...)`` zero mean and unit variance, as ``NormalizeIntensityd`` does.

    A constant border does not count, see :class:`StandardizeIntensityd`. An image without one has the numbers of
    ``NormalizeIntensityd`` with ``channel_wise``, bit by bit.

    Args:
        keys: keys of the images.
        tolerance: a border that changes the mean of every channel by at most this many standard deviations of the
            content, and the standard deviation by at most this share, counts; 0 excludes every border. For networks
            whose training images have bars of a neutral color.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when the tolerance is negative.

    Examples:
        >>> image = torch.nn.functional.pad(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), (2, 2, 2, 2))
        >>> NormalizeContentd("image")({"image": image})["image"][0, 2:4, 2:4].sum().item()
        0.0
    """

    def __init__(self, keys: KeysCollection, *, tolerance: float = 0.0, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if tolerance < 0:
            raise ValueError(f"tolerance must be 0 or more, got {tolerance}.")
        self.tolerance = tolerance

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalize the images."""
        d = dict(data)
        for key in self.key_iterator(d):
            content = self._content(_values(d[key]))
            if content.share == 1:
                d[key] = NormalizeIntensity(channel_wise=True)(d[key])
            else:
                mean, deviation = _statistics(content.values)
                d[key] = NormalizeIntensity(mean, deviation, channel_wise=True)(d[key])
                add_remarks(d[key], excluded_remark(content))
        return d

    def statistics(self, image: torch.Tensor) -> tuple[list[float], list[float]]:
        """Return means and standard deviations by which the channels of an image ``(C, ...)`` are normalized."""
        return _statistics(self._content(_values(image)).values)

    def _content(self, values: torch.Tensor) -> Content:
        """Return what counts: the image without its border, or with a border that makes little difference."""
        content = find_content(values)
        if content.share < 1 and self._counts(_statistics(values), _statistics(content.values)):
            return Content(values, 1.0)
        return content

    def _counts(self, whole: tuple[list[float], list[float]], content: tuple[list[float], list[float]]) -> bool:
        return self.tolerance > 0 and all(
            abs(mean - own_mean) <= self.tolerance * own and abs(deviation - own) <= self.tolerance * own
            for mean, deviation, own_mean, own in zip(*whole, *content, strict=True)
        )


def _statistics(values: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return means and standard deviations of the channels."""
    channels = [channel.float().contiguous() for channel in values]
    return [float(channel.mean()) for channel in channels], [float(channel.std(unbiased=False)) for channel in channels]


def _percentiles(values: torch.Tensor, percentiles: Sequence[float]) -> tuple[float, float]:
    step = -(-values.numel() // SAMPLE)
    sample = values.reshape(-1)[::step].double()
    low, high = torch.quantile(sample, torch.tensor(percentiles, dtype=torch.float64, device=values.device) / 100)
    return float(low), float(high)


def _values(image: torch.Tensor) -> torch.Tensor:
    return image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)


def _clipped(slab: torch.Tensor, limits: tuple[float, float] | None) -> torch.Tensor:
    return slab.double() if limits is None else slab.double().clamp_(*limits)


def _moments(content: Content, limits: tuple[float, float] | None, axes: int) -> Statistics:
    count = content.values.numel()
    parts = content.values.split(SLAB if content.values.ndim == axes else SAMPLE, dim=1)
    mean = sum(float(_clipped(part, limits).sum()) for part in parts) / count
    variance = sum(float((_clipped(part, limits) - mean).square_().sum()) for part in parts) / count
    return Statistics(limits, mean, variance**-0.5 if variance > 0 else 1.0)


def _standardize(values: torch.Tensor, used: Statistics) -> torch.Tensor:
    result = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    for slab, target in zip(values.split(SLAB, dim=1), result.split(SLAB, dim=1), strict=True):
        target.copy_((_clipped(slab, used.limits) - used.mean).mul_(used.scale))
    return result
