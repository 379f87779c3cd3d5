"""Strategies that select the next image to label: by the uncertainty of the served model, or by ratings."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from bundle.data.case_review import CORRECT, FAIL, PASS, UNRATED, Rating

from .final_labels import labeled_cases, unlabeled_images
from .label_tasks import LabelTask
from .request_values import find_task, read_device, read_int
from .uncertainty import UncertaintyEstimator, score_image, stored_value

logger = logging.getLogger(__name__)

DEFAULT_LIMIT = 8
"""Maximum number of values that a request computes; the scoring method ``uncertainty`` computes all."""

RESERVATION_SECONDS = 3600
"""Time for which an image is reserved for one annotator, while other images are free."""


ORDER = (FAIL, CORRECT, UNRATED)
"""Ratings in the order in which images are selected."""


class Uncertainty(Strategy):
    """Select the unlabeled image with the highest uncertainty.

    The values are those of :class:`.uncertainty.UncertaintyEstimator`, stored in the info of the images until the
    weights change. An annotator gets the same image until it has a final label; others get the next one. Options of a
    request: ``model``, by default the first; ``limit``, the maximum number of values to compute, by default
    :data:`DEFAULT_LIMIT`; ``client_id``; ``device``, by default a GPU if there is one.

    Args:
        tasks: the served tasks.
    """

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__("the image with the highest uncertainty")
        self.tasks = {task.name: task for task in tasks}
        self.estimators = {name: UncertaintyEstimator(task) for name, task in self.tasks.items()}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return the ``id`` of the image, its ``score`` and the number of scored images; None if all are labeled.

        Raises:
            RequestError: 404 for an unknown model, 400 if ``limit`` is not a number.
        """
        estimator = self.estimators[find_task(request, self.tasks).name]
        limit, device = read_int(request, "limit", DEFAULT_LIMIT, low=0), read_device(request)
        images = unlabeled_images(datastore, estimator.task)
        infos = {name: datastore.get_image_info(name) for name in images}
        stamp, model = estimator.stamp(), estimator.task.name
        scores = {name: stored_value(infos[name], model, stamp) for name in images}
        for name in [name for name in images if scores[name] is None][:limit]:
            scores[name] = score_image(estimator, datastore, name, device)
        free = [name for name in images if not _is_reserved(infos[name], request)]
        ranked = sorted(free or images, key=lambda name: (-_sort_value(scores[name]), name))
        if not ranked:
            return None
        scored = sum(value is not None for value in scores.values())
        logger.info(
            "highest uncertainty: %s (%s); %d of %d images have a value",
            ranked[0],
            scores[ranked[0]],
            scored,
            len(images),
        )
        return {"id": ranked[0], "score": scores[ranked[0]], "model": model, "scored": scored, "unlabeled": len(images)}


class Review(Strategy):
    """Select the image with the worst rating: failed ones first, then those that need correction, then others.

    Images that passed are not selected, nor those with a final label, unless a failed one was rated after the label was
    saved. An annotator gets the same image until it has a label; others get the next one. Options of a request:
    ``model``, by default the first; ``client_id``.

    Args:
        tasks: the served tasks.
        ratings: ratings by the id of the image.
    """

    def __init__(self, tasks: Sequence[LabelTask], ratings: Mapping[str, Rating]) -> None:
        super().__init__("the image with the worst rating")
        self.tasks, self.ratings = {task.name: task for task in tasks}, dict(ratings)

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Return the ``id`` of the image, its ``rating`` and ``note``, and how many are left; None if none is.

        Raises:
            RequestError: 404 for an unknown model.
        """
        labels = {case.name: case.label for case in labeled_cases(datastore, find_task(request, self.tasks))}
        images = [name for name in datastore.list_images() if self._is_left(name, labels.get(name))]
        free = [name for name in images if not _is_reserved(datastore.get_image_info(name), request)]
        ranked = sorted(free or images, key=lambda name: (ORDER.index(self._rating(name).rating), name))
        if not ranked:
            return None
        rating = self._rating(ranked[0])
        logger.info("next of %d images to review: %s (%s)", len(images), ranked[0], rating.rating or "not rated")
        return {"id": ranked[0], "rating": rating.rating, "note": rating.note, "left": len(images)}

    def _rating(self, name: str) -> Rating:
        return self.ratings.get(name, Rating(name))

    def _is_left(self, name: str, label: Path | None) -> bool:
        rating = self._rating(name)
        if label is None or rating.rating not in (FAIL, CORRECT):
            return label is None and rating.rating != PASS
        return rating.time is not None and rating.time > label.stat().st_mtime


def _sort_value(value: float | None) -> float:
    return -1.0 if value is None else value


def _is_reserved(info: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Return whether an image is reserved for another annotator; requests without ``client_id`` ignore this."""
    reservation, client = info.get("strategy", {}).get(request.get("strategy"), {}), request.get("client_id")
    is_recent = time.time() - reservation.get("ts", 0) < RESERVATION_SECONDS
    return client is not None and is_recent and reservation.get("client_id") != client
