"""Writing of the classes of an image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from bundle.inference.case_record import RECORD, record_of_data
from bundle.metrics.classification_metrics import thresholds_by_name

from .describe_classes import describe_classes


class SaveClassesd(MapTransform):
    """Write ``<output_dir>/<case>.json``: the probability, the threshold and the decision of every class.

    Args:
        keys: key of the probabilities ``(C,)``, each class against the rest.
        class_names: names of the classes, in the order of the probabilities.
        output_dir: folder to write to; created if missing.
        thresholds: probability above which an image is positive, one for all classes or by name.
        image_key: key of the image, whose metadata name the file.
        checkpoint: file of the weights, for the JSON.
        allow_missing_keys: skip missing keys.

    Raises:
        ValueError: when a threshold is missing or outside [0, 1).
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        class_names: Sequence[str],
        output_dir: str | Path,
        thresholds: float | Mapping[str, float] = 0.5,
        image_key: str = "image",
        checkpoint: str | Path | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.class_names, self.output_dir = list(class_names), Path(str(output_dir))
        self.thresholds = thresholds_by_name(self.class_names, thresholds)
        self.image_key, self.checkpoint = image_key, checkpoint

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the JSON of one image and complete its record, ``data["record"]``.

        Raises:
            ValueError: when the number of probabilities is not that of the classes.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            d[RECORD] = record = record_of_data(d, self.image_key)
            values = torch.as_tensor(d[key]).detach().cpu().flatten().tolist()
            if len(values) != len(self.class_names):
                raise ValueError(f"{record.file}: has {len(values)} probabilities for {len(self.class_names)} classes.")
            shape = [int(side) for side in d[self.image_key].meta["original_size"]]
            record.complete(
                {"shape": shape, "classes": describe_classes(values, self.thresholds)},
                files=[],
                checkpoint=self.checkpoint,
            )
            record.write(self.output_dir)
        return d
