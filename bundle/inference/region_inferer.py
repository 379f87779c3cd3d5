"""Inference that finds the regions of a volume with one network and segments each with another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import SpatialCrop

from bundle.utils.errors import FileError

from .region_finder import Region, RegionFinder, extent_mm, region_box
from .window_ensemble import Network

logger = logging.getLogger(__name__)


class NothingFoundError(FileError):
    """An image in which no region was found."""


class RegionInferer(Inferer):
    """Find the regions of a volume on a coarse grid, and segment each on the fine grid of a second network.

    The image comes as it was read, in its own voxels. Each region is cropped, and only the crop is resampled; the
    assembler of the wrapped inferer restores the grid of the file. So the fine grid never holds a complete volume. An
    image that is hardly larger than a region is taken for the crop of one, without the finder.

    Args:
        inferer: inferer of a region, with a :class:`bundle.grid.LabelMapAssembler`.
        finder: finds the regions.
        preprocessing: dictionary transform of the ``"image"`` ``(C, D, H, W)`` of a region, to the voxels and
            intensities of the network.
        size_mm: size of the crop of a region along the axes of the image.
        offsets: summand of the label values of every region by its name, so that the values of no two regions are the
            same; the values of an image that is a crop have none.
        crop_limit_mm: an image of at most this size along every axis is the crop of one region.

    Attributes:
        regions: the regions of the last image; none for a crop.
        on_window: called with the number of steps that are done and that of all; None for nothing.

    Raises:
        ValueError: when ``offsets`` lack a region.
    """

    def __init__(
        self,
        inferer: Callable[..., Any],
        *,
        finder: RegionFinder,
        preprocessing: Callable[[Mapping[str, Any]], Mapping[Any, Any]],
        size_mm: Sequence[float],
        offsets: Mapping[str, int],
        crop_limit_mm: Sequence[float],
    ) -> None:
        super().__init__()
        missing = [name for name in finder.regions if name not in offsets]
        if missing:
            raise ValueError(f"offsets must have a number for every region, but lack {', '.join(missing)}.")
        self.inferer: Any = inferer
        self.finder, self.preprocessing = finder, preprocessing
        self.size_mm, self.offsets, self.crop_limit_mm = list(size_mm), dict(offsets), list(crop_limit_mm)
        self.regions: list[Region] = []
        self.on_window: Callable[[int, int], None] | None = None

    @property
    def description(self) -> str | None:
        """Description of the wrapped inferer."""
        return getattr(self.inferer, "description", None)

    def __call__(self, inputs: Any, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the label map of an image ``(1, C, D, H, W)`` on the grid of its file.

        Raises:
            NothingFoundError: when no region was found.
        """
        self.regions = []
        if all(size <= limit for size, limit in zip(extent_mm(inputs), self.crop_limit_mm, strict=True)):
            return self.inferer(self._prepared(inputs[0]), network, *args, **kwargs)
        self.regions = self.finder(inputs)
        found = [region for region in self.regions if region.found]
        if not found:
            raise NothingFoundError(
                _file_of(inputs),
                f"neither {' nor '.join(self.finder.regions)} was found",
                "check that the image shows them and that its orientation is right",
            )
        result: Any = None
        for step, region in enumerate(found, start=1):
            labels = self.inferer(self._prepared(self._crop(inputs, region)), network, *args, **kwargs)
            labels[labels > 0] += self.offsets[region.name]
            result = labels if result is None else result.copy_(torch.where(result > 0, result, labels))
            if self.on_window is not None:
                self.on_window(step, len(found))
        return result

    def _crop(self, inputs: MetaTensor, region: Region) -> MetaTensor:
        box = region_box(inputs, region.center_mm or (), self.size_mm)
        logger.info("%s: crop of %s voxels", region.name, " x ".join(str(part.stop - part.start) for part in box))
        return cast(MetaTensor, SpatialCrop(roi_slices=list(box))(inputs[0]))

    def _prepared(self, image: MetaTensor) -> MetaTensor:
        return cast(MetaTensor, self.preprocessing({"image": image})["image"][None])


def _file_of(inputs: MetaTensor) -> str:
    file = inputs.meta.get("filename_or_obj", "the image")
    return str(file if isinstance(file, str) else file[0])
