"""Features of a segmentation that show whether it is plausible."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from monai.data import MetaTensor

from bundle.utils.label_names import structures_of
from bundle.utils.parse_bool import parse_bool

from .confidence_numbers import ConfidenceNumbers
from .label_features import cut_center, result_features
from .plausibility import Plausibility
from .slab import Assembler, Writer


class FeatureAssembler:
    """Measure a result while an assembler makes a label map of its scores, on the grid of the network.

    The features are those of the largest connected component of all structures together:

    - ``volume_mm3``: volume;
    - ``<name>_share``: share of a structure in the volume, of all structures except for the last;
    - ``<name>_x_mm``, ``_y_mm``, ``_z_mm``: center of mass of a structure relative to that of all, along the world axes
      (RAS+); x without its sign, as left and right are alike;
    - ``view_share``: share of the image that is labeled;
    - ``center_mm``: distance of the center of mass from the center of the image;
    - ``confidence``: mean of the highest probability over all labeled voxels.

    Without a labeled voxel, the volume is the only one.

    Args:
        assembler: makes the label map, such as :class:`bundle.grid.LabelMapAssembler`.
        label_names: value of every structure by its name.
        enabled: true measures, false does not; ``"auto"`` does so if ``plausibility`` knows plausible results.
        plausibility: what is known of the weights; None for nothing.
        confidence: whether margin and entropy of every structure are measured, which needs no further memory
            (:class:`bundle.inference.confidence_numbers.ConfidenceNumbers`).

    Raises:
        ValueError: when ``enabled`` or ``confidence`` is invalid.

    Attributes:
        finds_cut: whether ``cut_center_mm`` is found where nothing is measured.
        features: features of the last image.
        numbers: confidence of every structure of the last image by its name.
        cut_center_mm: center of the bounding box of all structures in world coordinates, if they touch the border of
            the last image, so that a crop moved there may show more of them; None if they do not.
    """

    def __init__(
        self,
        assembler: Assembler,
        *,
        label_names: Mapping[str, int],
        enabled: bool | int | str = "auto",
        plausibility: Plausibility | None = None,
        confidence: bool | int | str = True,
    ) -> None:
        self.assembler, self.label_names = assembler, structures_of(label_names)
        is_known = plausibility is not None and bool(plausibility.distributions)
        self.enabled = parse_bool("measure_features", enabled, auto=is_known)
        self.confidence = parse_bool("measure_confidence", confidence)
        self.finds_cut = False
        self.features: dict[str, float] = {}
        self.numbers: dict[str, dict[str, float]] = {}
        self.cut_center_mm: tuple[float, ...] | None = None

    def start(self, image: torch.Tensor, *, classes: int, axis: int) -> Writer:
        """Return what takes the slabs of one case."""
        writer = self.assembler.start(image, classes=classes, axis=axis)
        needed = self.enabled or self.confidence or self.finds_cut
        return _Measured(self, image, classes, axis, writer) if needed else writer


class _Measured:
    def __init__(self, owner: FeatureAssembler, image: torch.Tensor, classes: int, axis: int, writer: Writer) -> None:
        self.owner, self.image, self.axis, self.writer = owner, image, axis, writer
        self.numbers = ConfidenceNumbers(classes=classes, axis=axis)
        self.labels: list[np.ndarray] = []
        self.probability = 0.0

    def add(self, scores: torch.Tensor) -> None:
        labels, probability = self.numbers.add(scores)
        if self.owner.enabled:
            self.probability += float(probability.double().sum())
        if self.owner.enabled or self.owner.finds_cut:
            self.labels.append(labels.cpu().numpy().astype(np.uint16))
        self.writer.add(scores)

    def finish(self) -> torch.Tensor:
        self.owner.numbers = self.numbers.finish(self.owner.label_names) if self.owner.confidence else {}
        if self.labels:
            self._measure_features(np.concatenate(self.labels, axis=self.axis))
        return self.writer.finish()

    def _measure_features(self, labels: np.ndarray) -> None:
        image = self.image
        affine = np.asarray(image.affine, dtype=float) if isinstance(image, MetaTensor) else np.eye(4)
        affine = affine.reshape(-1, 4, 4)[0]
        self.owner.cut_center_mm = cut_center(labels, affine)
        if self.owner.enabled:
            self.owner.features = result_features(labels, affine, self.owner.label_names, probability=self.probability)
