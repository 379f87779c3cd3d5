"""One mask a structure, of scores and of label maps, so that metrics can compare them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.networks.utils import one_hot
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type

from bundle.losses.segmentation_loss import region_masks


class MakeStructureMasksd(MapTransform):
    """Turn scores and label maps into masks ``(1 + structures, D, H, W)``, the background first.

    Of scores of exclusive classes the largest counts, as in MONAI's ``AsDiscreted``; scores of regions, which may
    overlap, are decided separately, and the background is outside of all. Voxels that a label map ignores
    (:data:`bundle.utils.label_names.IGNORED`) are in no mask.

    Args:
        keys: keys of the scores and label maps ``(C, D, H, W)``.
        label_keys: which of them are label maps.
        classes: number of classes with the background; not used for regions.
        regions: label values of every region, in the order of the scores; None for exclusive classes.
        allow_missing_keys: skip missing keys.

    Examples:
        >>> label = torch.tensor([[[0, 1, 2]]])
        >>> regions = {"whole": [1, 2], "core": [2]}
        >>> MakeStructureMasksd("label", regions=regions)({"label": label})["label"][:, 0].tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        label_keys: Sequence[str] = ("label",),
        classes: int | None = None,
        regions: Mapping[str, Sequence[int]] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_keys, self.classes = tuple(label_keys), classes
        self.regions = None if regions is None else [list(values) for values in regions.values()]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace scores and label maps by masks of float type."""
        d = dict(data)
        ignored = self._ignored(d)
        for key in self.key_iterator(d):
            values = torch.as_tensor(d[key])
            masks = self._of_labels(values) if key in self.label_keys else self._of_scores(values)
            if ignored is not None:
                masks = masks * ~ignored.to(masks.device)
            d[key] = convert_to_dst_type(masks, d[key], dtype=torch.float32)[0]
        return d

    def _ignored(self, data: Mapping[Hashable, Any]) -> torch.Tensor | None:
        """Return which voxels ``(1, D, H, W)`` a label map ignores; None where it ignores none."""
        found = [torch.as_tensor(data[key]) < 0 for key in self.key_iterator(dict(data)) if key in self.label_keys]
        return found[0] if found and found[0].any() else None

    def _of_labels(self, label: torch.Tensor) -> torch.Tensor:
        if self.regions is None:
            return one_hot(label.clamp(min=0), int(self.classes or 0), dim=0)
        return _with_background(region_masks(label, self.regions))

    def _of_scores(self, scores: torch.Tensor) -> torch.Tensor:
        if self.regions is None:
            return one_hot(scores.argmax(0, keepdim=True), len(scores), dim=0)
        return _with_background(scores > 0)


def _with_background(masks: torch.Tensor) -> torch.Tensor:
    return torch.cat([~masks.any(0, keepdim=True), masks])
