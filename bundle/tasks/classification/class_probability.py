"""Calibrated probabilities from the logits of a classification."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform


class ComputeClassProbabilityd(MapTransform):
    """Turn logits ``(C,)`` of classes, each against the rest, into probabilities: the sigmoid of logits / temperature.

    Args:
        keys: keys of the logits.
        temperature: one for all classes or one per class, as fitted by :func:`bundle.metrics.fit_temperature`; 1 for no
            calibration.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a temperature is not positive.

    Examples:
        >>> ComputeClassProbabilityd("pred", temperature=2.0)({"pred": torch.tensor([0.0, 2.0])})["pred"]
        tensor([0.5000, 0.7311])
    """

    def __init__(
        self, keys: KeysCollection, *, temperature: float | Sequence[float] = 1.0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.temperature = [
            float(value) for value in (temperature if isinstance(temperature, Sequence) else [temperature])
        ]
        if not self.temperature or not all(value > 0 for value in self.temperature):
            raise ValueError(f"temperature must be above 0, one for all classes or one per class, got {temperature}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the logits.

        Raises:
            ValueError: when there are neither one nor as many temperatures as classes.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            logits = torch.as_tensor(d[key]).float()
            if len(self.temperature) not in (1, len(logits)):
                raise ValueError(f"{len(self.temperature)} temperatures do not match {len(logits)} classes.")
            d[key] = torch.sigmoid(logits / logits.new_tensor(self.temperature))
        return d
