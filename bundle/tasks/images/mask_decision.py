"""Class numbers from the probabilities of a segmented image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bundle.metrics.outline import one_region
from bundle.utils.components import find_components
from bundle.utils.label_names import structures_of
from bundle.utils.parse_bool import parse_bool


class MaskDecision:
    """Rule by which probabilities become class numbers.

    Probabilities are ``(1, H, W)`` of a single class against the background, or ``(1 + C, H, W)`` of C classes with the
    background first.

    Args:
        label_names: value of every class by its name, 1 to C.
        threshold: probability above which a pixel belongs to a single class; of several classes, the most probable one
            is used.
        region_confidence: least mean probability of a region, such as a cell; less certain regions are background.
        single_region: keep only the largest region of every class and fill its holes, as required by ISIC 2018.

    Raises:
        ValueError: when the values do not count from 1, the threshold or ``region_confidence`` is outside [0, 1), or
            ``single_region`` is neither true nor false.

    Examples:
        >>> MaskDecision({"lesion": 1}, threshold=0.4).classes(np.array([[[0.3, 0.45]]]))
        array([[0, 1]], dtype=uint8)
    """

    def __init__(
        self,
        label_names: Mapping[str, int],
        *,
        threshold: float = 0.5,
        region_confidence: float = 0.0,
        single_region: bool | str = False,
    ) -> None:
        label_names = structures_of(label_names)
        if list(label_names.values()) != list(range(1, len(label_names) + 1)):
            raise ValueError(f"label_names must count from 1 to {len(label_names)}, got {dict(label_names)}.")
        for name, value in {"threshold": threshold, "region_confidence": region_confidence}.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value}.")
        self.label_names, self.threshold, self.region_confidence = dict(label_names), threshold, region_confidence
        self.single_region = parse_bool("single_region", single_region)

    @property
    def channels(self) -> int:
        """Number of channels of the probabilities."""
        return 1 if len(self.label_names) == 1 else 1 + len(self.label_names)

    def channel(self, value: int) -> int:
        """Return the channel of the class of a value."""
        return value if self.channels > 1 else 0

    def classes(self, probabilities: np.ndarray) -> np.ndarray:
        """Return class numbers ``(H, W)``, uint8, of probabilities ``(K, H, W)``."""
        single = len(probabilities) == 1
        classes = (probabilities[0] > self.threshold if single else probabilities.argmax(axis=0)).astype(np.uint8)
        if self.region_confidence > 0:
            classes *= self._certain(probabilities, classes)
        if not self.single_region:
            return classes
        regions = np.zeros_like(classes)
        for value in self.label_names.values():
            regions[one_region(classes == value)] = value
        return regions

    def _certain(self, probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return the pixels of the regions whose mean probability is not too low."""
        regions = find_components(classes, corners=True)
        channels = classes if len(probabilities) > 1 else np.zeros_like(classes)
        of_class = np.take_along_axis(probabilities, channels[None].astype(np.int64), axis=0)
        return regions.mask(np.flatnonzero(regions.means(of_class) >= self.region_confidence))
