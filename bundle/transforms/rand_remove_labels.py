"""Structures that are missing from a label map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform


class RandRemoveLabelsd(MapTransform, RandomizableTransform):
    """Set structures of label maps to background, such as the skull, before an image is made of them.

    Args:
        keys: keys of the label maps.
        labels: label values that are removed together.
        prob: probability of removing them.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> RandRemoveLabelsd("label", labels=[7], prob=1.0)({"label": torch.tensor([[3, 7]])})["label"].tolist()
        [[3, 0]]
    """

    def __init__(
        self, keys: KeysCollection, *, labels: Sequence[int], prob: float = 0.3, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.labels = torch.tensor(list(labels))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return label maps without the structures, or as they are."""
        d = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = d[key].masked_fill(torch.isin(d[key], self.labels.to(d[key])), 0)
        return d
