"""Batch inference: many images of the datastore in one request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monailabel.interfaces.tasks.batch_infer import BatchInferTask

from .final_labels import labeled_cases, unlabeled_images
from .label_tasks import LabelTask
from .workarounds.batch_devices import choose_devices

logger = logging.getLogger(__name__)

Infer = Callable[[Any, Any], dict[str, Any]]


class BatchInference(BatchInferTask):
    """MONAI Label's batch inference, on any machine; an image that fails does not end the batch.

    Args:
        tasks: the served tasks by name. Images are labeled or unlabeled as far as the labels of the task are concerned.
    """

    def __init__(self, tasks: Mapping[str, LabelTask] | None = None) -> None:
        self.tasks = dict(tasks or {})

    def get_images(self, request: Mapping[str, Any], datastore: Any) -> Sequence[str]:
        """Return the images of a request."""
        task, images = self.tasks.get(str(request.get("model"))), request.get("images")
        if task is not None and images == "labeled":
            return [case.name for case in labeled_cases(datastore, task)]
        if task is not None and images == "unlabeled":
            return unlabeled_images(datastore, task)
        return list(super().get_images(request, datastore))

    def __call__(self, request: Mapping[str, Any], datastore: Any, infer: Infer) -> dict[str, Any]:
        """Run the inference on each image and save the results as labels.

        Args:
            request: ``model``; ``images``, which is ``"all"``, ``"labeled"``, ``"unlabeled"`` or a list of ids; and the
                options of MONAI Label: ``label_tag``, ``max_batch_size``, ``max_workers``, ``multi_gpu``, ``gpus``.
            datastore: ``monailabel.interfaces.datastore.Datastore``.
            infer: runs the inference on one image.

        Returns:
            The response for every image, ``{"error": message}`` for one that failed.
        """

        def infer_or_skip(image_request: Any, store: Any) -> dict[str, Any]:
            try:
                return infer(image_request, store)
            except Exception as error:
                logger.error("%s skipped: %s", image_request["image"], error)
                return {"error": str(error)}

        result: dict[str, Any] = super().__call__(choose_devices(request), datastore, infer_or_skip)
        failed = [name for name, response in result.items() if "error" in response]
        logger.info("%d images completed, %d skipped", len(result) - len(failed), len(failed))
        return result
