"""How unsure the served model is of an image that nobody has labeled: the entropy of what its network puts out.

Entropy as the measure that chooses what to label next: Settles, Active Learning Literature Survey, 2009, section 3.1.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import list_data_collate
from torch.special import entr

from bundle.inference.failures import record_failure

from .bundle_run import WORKER, BundleRun
from .label_tasks import LabelTask

INFO = "uncertainty"
"""Key of the values in the info of an image, by the name of the model."""

PLAIN: dict[str, Any] = {"plan": "fp32", "amp": False, "confidence": [], "mirror_axes": [], "tile_size": None}
"""Config ids that are set, where a config has them, so that a value depends on image and weights alone."""


def entropy_share(output: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the entropy of scores ``(N, C, ...)``, float32, as shares of the greatest that there can be, from 0 to 1.

    Args:
        output: what a network puts out.
        kind: ``"softmax"`` for classes that exclude each other: one value a voxel, ``(N, 1, ...)``. ``"sigmoid"`` for
            classes of their own: one a class and voxel. ``"peaks"`` for heat maps that go from 0 to 1: one a map, of
            its highest value, ``(N, C)``: sure is what has a clear peak, or none.
    """
    scores = output.detach().float()
    if kind == "peaks":
        chance = scores.flatten(2).amax(-1).clamp(0, 1)
    elif kind == "sigmoid" or scores.shape[1] == 1:
        chance = scores.sigmoid()
    else:
        return entr(scores.softmax(1)).sum(1, keepdim=True) / math.log(scores.shape[1])
    return (entr(chance) + entr(1 - chance)) / math.log(2)


def kind_of_scores(config: Mapping[str, Any]) -> str:
    """Tell from the postprocessing of an inference config what the scores of its network are."""
    text = json.dumps(config["postprocessing"])
    if "DecodeDiscsd" in text:
        return "peaks"
    return "sigmoid" if '"sigmoid": true' in text or "ComputeClassProbabilityd" in text else "softmax"


class UncertaintyEstimator:
    """Compute the mean entropy over all that the network of a task puts out for an image.

    The image is prepared as ``inference.json`` says. Every output of the network counts: those of all windows, tiles or
    slabs.

    Args:
        task: the task.
    """

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self._run = BundleRun(task)

    def stamp(self) -> str:
        """Return a text that changes with the served weights: the time of their last change."""
        return str(self.task.served.stat().st_mtime_ns)

    def __call__(self, image: str, device: str = "cpu") -> float:
        """Return the uncertainty of an image, from 0 to 1.

        Args:
            image: its file.
            device: where to compute.

        Raises:
            BadInputError: when the image cannot be used.
        """
        return WORKER.submit(self._mean_entropy, image, device).result()

    def _mean_entropy(self, image: str, device: str) -> float:
        parser = ConfigParser(copy.deepcopy(self.task.config))
        parser.update({**{name: value for name, value in PLAIN.items() if name in self.task.config}, "device": device})
        kind, total, count = kind_of_scores(self.task.config), 0.0, 0

        def note(_module: Any, _inputs: Any, output: Any) -> None:
            nonlocal total, count
            share = entropy_share(output, kind)
            total, count = total + float(share.double().sum()), count + share.numel()

        network = self._run.network(device)
        hook = network.register_forward_hook(note)
        try:
            case = parser.get_parsed_content("preprocessing")({"image": image, "case": "case"})
            with torch.inference_mode():
                parser.get_parsed_content("inferer")(list_data_collate([case])["image"].to(device), network)
        finally:
            hook.remove()
        return total / count


def stored_value(info: Mapping[str, Any], model: str, stamp: str) -> float | None:
    """Return the value that the info of an image holds for a model with these weights; None for none."""
    kept = info.get(INFO)
    found = kept.get(model) if isinstance(kept, dict) else None
    return found.get("value") if isinstance(found, dict) and found.get("weights") == stamp else None


def score_image(estimator: UncertaintyEstimator, datastore: Any, name: str, device: str = "cpu") -> float | None:
    """Compute the uncertainty of an image and store it in its info; None where the image cannot be used.

    Args:
        estimator: computes it.
        datastore: ``monailabel.interfaces.datastore.Datastore``.
        name: id of the image.
        device: where to compute.
    """
    stamp, image = estimator.stamp(), datastore.get_image_uri(name)
    try:
        value = round(estimator(image, device), 6)
    except Exception as error:
        record_failure({"case": name, "image": image}, error)
        return None
    known = datastore.get_image_info(name).get(INFO, {})
    datastore.update_image_info(name, {INFO: {**known, estimator.task.name: {"value": value, "weights": stamp}}})
    return value
