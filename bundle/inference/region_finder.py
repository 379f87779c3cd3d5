"""Regions of a volume that a network finds on a coarse grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import nn
from torch.nn import functional

from bundle.io.input_checks import BadInputError
from bundle.networks.weights import load_weights
from bundle.utils.digests import sha256_of_file
from bundle.utils.lengths import is_above
from bundle.utils.option_checks import check_sizes_mm
from bundle.utils.parse_bool import parse_bool
from bundle.utils.parse_null import parse_null

from .found_regions import Region, box_around, measure_regions, paddings
from .plausibility import REGION, Plausibility
from .window_ensemble import Network


class RegionFinder:
    """Find the regions of a volume by a network that segments it on a coarse grid.

    A region is the largest connected component of its class.

    Args:
        network: network of one channel to ``max(regions) + 1`` classes or more.
        regions: class of every region by its name.
        preprocessing: dictionary transform of ``"image"`` ``(1, D, H, W)`` to the coarse grid and the intensities of
            the network.
        size_mm: size of the box of a region along the axes of the image.
        largest_crop_mm: an image of at most this size along every axis is the crop of one region and is not searched.
        divisor: the sizes that the network takes are multiples of it; images are padded by their minimum.
        min_volume_mm3: smaller components are none.
        enabled: true searches, false does not; ``"auto"`` does so if ``plausibility`` knows results of regions.
        plausibility: what is known of the weights that segment the regions; None for nothing.

    Attributes:
        enabled: whether regions are searched.
        weights: SHA-256 of the weights, if :func:`load_finder` has read them.

    Raises:
        ValueError: when there is no region, a size is not positive, or ``enabled`` is invalid.

    Examples:
        >>> def network(image):
        ...     return torch.cat([0.5 - image, image], dim=1)
        >>> image = torch.zeros(1, 8, 8, 8)
        >>> image[..., 2:4, 5] = 1
        >>> sizes = {"size_mm": [4, 4, 4], "largest_crop_mm": [4, 4, 4]}
        >>> finder = RegionFinder(network, regions={"lesion": 1}, preprocessing=lambda data: data, **sizes)
        >>> finder(MetaTensor(image))[0].center_mm
        (3.5, 2.5, 5.0)
    """

    def __init__(
        self,
        network: Network,
        *,
        regions: Mapping[str, int],
        preprocessing: Callable[[Mapping[str, Any]], Mapping[Any, Any]],
        size_mm: Sequence[float],
        largest_crop_mm: Sequence[float],
        divisor: int = 16,
        min_volume_mm3: float = 0.0,
        enabled: bool | int | str = "auto",
        plausibility: Plausibility | None = None,
    ) -> None:
        if not regions:
            raise ValueError("regions must name at least one region, {name: class}.")
        check_sizes_mm(region_size_mm=size_mm, largest_crop_mm=largest_crop_mm)
        self.network = network.eval() if isinstance(network, nn.Module) else network
        self.regions, self.preprocessing = dict(regions), preprocessing
        self.size_mm, self.largest_crop_mm = list(size_mm), list(largest_crop_mm)
        self.divisor, self.min_volume_mm3 = divisor, min_volume_mm3
        is_known = plausibility is not None and plausibility.is_known(REGION)
        self.enabled = parse_bool("find_regions", enabled, auto=is_known)
        self.weights: str | None = None

    def is_searched(self, image: MetaTensor) -> bool:
        """Return whether regions are to be found in an image ``(..., D, H, W)``."""
        sizes = zip(extent_mm(image), self.largest_crop_mm, strict=True)
        return self.enabled and any(is_above(size, limit) for size, limit in sizes)

    def __call__(self, image: MetaTensor) -> list[Region]:
        """Return the regions of an image ``(1, D, H, W)``, in the order of ``regions``.

        Raises:
            BadInputError: when the image has several channels.
        """
        if len(image) != 1:
            raise BadInputError(
                str(image.meta.get("filename_or_obj", "the image")),
                f"has {len(image)} channels, and regions are found in images of one",
                "pass --find_regions false",
            )
        coarse = self.preprocessing({"image": image})["image"]
        values = coarse.as_tensor()
        sides = paddings(values.shape[1:], self.divisor)
        padding = [pad for pair in reversed(sides) for pad in pair]
        padded = functional.pad(values[None], padding, value=float(values.min()))
        with torch.no_grad():
            scores = torch.softmax(self.network(padded)[0].float(), dim=0)
        inner = tuple(slice(low, low + size) for (low, _), size in zip(sides, values.shape[1:], strict=True))
        scores = scores[(slice(None), *inner)]
        affine = np.asarray(coarse.affine, dtype=float)
        return measure_regions(scores.cpu().numpy(), affine, self.regions, min_volume_mm3=self.min_volume_mm3)


def load_finder(
    network: nn.Module,
    *,
    checkpoint: str | Path | None,
    device: torch.device | str = "cpu",
    enabled: bool | int | str = "auto",
    **options: Any,
) -> RegionFinder:
    """Return a finder with the weights of a file, which is read only if regions are searched.

    Args:
        network: network to load into.
        checkpoint: file of the weights; None for no search.
        device: device to put the network on.
        enabled: as of :class:`RegionFinder`.
        options: other options of :class:`RegionFinder`.

    Raises:
        ValueError: when an option is invalid, or ``enabled`` is true without a file.
        WeightsError: when the weights cannot be used.
    """
    path = parse_null(checkpoint)
    is_auto = str(enabled).lower() == "auto"
    finder = RegionFinder(network, enabled=False if path is None and is_auto else enabled, **options)
    if not finder.enabled:
        return finder
    if path is None:
        raise ValueError("find_regions must not be true without finder_checkpoint, the weights that find regions.")
    finder.network = load_weights(network, path, device, option="finder_checkpoint").eval()
    finder.weights = sha256_of_file(path)
    return finder


def extent_mm(image: MetaTensor) -> list[float]:
    """Return the size of an image ``(..., D, H, W)`` along its axes in mm."""
    spacing = np.linalg.norm(np.asarray(image.affine, dtype=float)[:3, :3], axis=0)
    return [float(count * step) for count, step in zip(image.shape[-3:], spacing, strict=True)]


def region_box(image: MetaTensor, center_mm: Sequence[float], size_mm: Sequence[float]) -> tuple[slice, ...]:
    """Return the voxels of an image whose centers lie within a box around a point, cut at the border.

    Args:
        image: image ``(..., D, H, W)``.
        center_mm: center in world coordinates.
        size_mm: size of the box along the axes of the image.
    """
    return box_around(np.asarray(image.affine, dtype=float), image.shape[-3:], center_mm, size_mm)
