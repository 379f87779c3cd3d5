"""Finding of the regions of a volume by the coarse network of an exported model."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle.inference.found_regions import Region, measure_regions, paddings

from .image_statistics import volume_statistics
from .onnx_model import OnnxModel
from .volume_image import VolumeImage, resample


class CoarseFinder:
    """Find the regions of a volume, as :class:`bundle.inference.RegionFinder` does.

    Args:
        model: exported model that has a finder.

    Attributes:
        size_mm: size of the box of a region along the axes of the image.
        offsets: summand of the label values of every region by its name.
    """

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.options: dict[str, Any] = model.about["finder"]
        self.size_mm: list[float] = self.options["size_mm"]
        self.offsets: dict[str, int] = self.options["offsets"]

    def __call__(self, image: VolumeImage) -> list[Region]:
        """Return the regions of a volume of one channel."""
        options = self.options
        coarse = resample(image, options["spacing_mm"], antialias=options["antialias"])
        statistics = volume_statistics(coarse.values, options["percentiles"], exclude_border=options["exclude_border"])
        values = statistics.standardize(coarse.values)
        sides = paddings(values.shape[1:], options["divisor"])
        padded = np.pad(values, [(0, 0), *sides], constant_values=values.min())
        probabilities = self.model.find(padded[None])[0]
        inner = tuple(slice(low, low + size) for (low, _), size in zip(sides, values.shape[1:], strict=True))
        return measure_regions(
            probabilities[(slice(None), *inner)],
            coarse.affine,
            options["regions"],
            min_volume_mm3=options["min_volume_mm3"],
        )
