"""Inference of many images of the datastore at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from .workarounds.batch_devices import with_devices

logger = logging.getLogger(__name__)

Infer = Callable[[Any, Any], dict[str, Any]]


class BatchInference(BatchInferTask):
    """MONAI Label's inference of a batch, on any machine; an image that cannot be used does not end the batch."""

    def __call__(self, request: Mapping[str, Any], datastore: Any, infer: Infer) -> dict[str, Any]:
        """Infer and save the results as labels.

        Args:
            request: ``model``, ``images`` (``"all"``, ``"labeled"``, ``"unlabeled"`` or a list of ids), and what MONAI
                Label knows beside: ``label_tag``, ``max_batch_size``, ``max_workers``, ``multi_gpu``, ``gpus``.
            datastore: ``monailabel.interfaces.datastore.Datastore``.
            infer: infers one image.

        Returns:
            The answer for every image, ``{"error": message}`` for one that failed.
        """

        def one(asked: Any, store: Any) -> dict[str, Any]:
            try:
                return infer(asked, store)
            except Exception as error:
                logger.error("%s is left out: %s", asked["image"], error)
                return {"error": str(error)}

        result: dict[str, Any] = super().__call__(with_devices(request), datastore, one)
        failed = [name for name, answer in result.items() if "error" in answer]
        logger.info("%d images done, %d left out", len(result) - len(failed), len(failed))
        return result
