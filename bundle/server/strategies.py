"""Choice of the next image to label by the uncertainty of the served model."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from .label_tasks import LabelTask
from .request_values import find_task, read_count, read_device
from .uncertainty import UncertaintyEstimator, score_image, stored_value

logger = logging.getLogger(__name__)

LIMIT = 8
"""Images without a value that one request computes; the scoring method ``uncertainty`` computes all."""

RESERVED = 3600
"""Seconds for which an image that was given to one annotator is kept from others, while there are further ones."""


class Uncertainty(Strategy):
    """Give out the unlabeled image that the served model is least sure of.

    The values are those of :class:`.uncertainty.UncertaintyEstimator`, kept in the info of the images until the weights
    change. The same annotator gets the same image until it has a final label; others get the next. Options of a
    request: ``model``, by default the first; ``limit``, how many values to compute at most, by default :data:`LIMIT`;
    ``client_id``; ``device``, by default a GPU where there is one.

    Args:
        tasks: the served tasks.
    """

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__("the image that the model is least sure of")
        self.tasks = {task.name: task for task in tasks}
        self.estimators = {name: UncertaintyEstimator(task) for name, task in self.tasks.items()}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return ``id`` of the image, its ``score``, and of how many the score is known; None where all have labels.

        Raises:
            RequestError: 404 when there is no such model, 400 when ``limit`` is no number.
        """
        estimator = self.estimators[find_task(request, self.tasks).name]
        limit, device = read_count(request, "limit", LIMIT, low=0), read_device(request)
        images = sorted(datastore.get_unlabeled_images())
        infos = {name: datastore.get_image_info(name) for name in images}
        stamp, model = estimator.stamp(), estimator.task.name
        scores = {name: stored_value(infos[name], model, stamp) for name in images}
        for name in [name for name in images if scores[name] is None][:limit]:
            scores[name] = score_image(estimator, datastore, name, device)
        free = [name for name in images if not _reserved(infos[name], request)]
        ranked = sorted(free or images, key=lambda name: (-_or_least(scores[name]), name))
        if not ranked:
            return None
        known = sum(value is not None for value in scores.values())
        logger.info(
            "least sure of %s: %s; %d of %d images have a value", ranked[0], scores[ranked[0]], known, len(images)
        )
        return {"id": ranked[0], "score": scores[ranked[0]], "model": model, "scored": known, "unlabeled": len(images)}


def _or_least(value: float | None) -> float:
    return -1.0 if value is None else value


def _reserved(info: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Tell whether an image was given to another annotator not long ago; who does not say who they are gets any."""
    given, client = info.get("strategy", {}).get(request.get("strategy"), {}), request.get("client_id")
    recently = time.time() - given.get("ts", 0) < RESERVED
    return client is not None and recently and given.get("client_id") != client
