"""Uncertainty of the served model for an image: the mean entropy of the network's output.

Entropy for active learning: Settles, Active Learning Literature Survey, 2009, section 3.1.
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

from bundle.inference.case_record import new_record

from .bundle_run import INFERENCE_THREAD, BundleRun
from .label_tasks import LabelTask

INFO_KEY = "uncertainty"
"""Key of the values by model in the info of an image."""

FIXED_OPTIONS: dict[str, Any] = {
    "plan": "fp32",
    "confidence": [],
    "mirror_axes": [],
    "tile_size": None,
    "plausible_distance": None,
}
"""Values of config ids that make a result depend on image and weights only; it need not be plausible."""


def normalized_entropy(output: torch.Tensor, score_type: str) -> torch.Tensor:
    """Return the entropy of an output ``(N, C, ...)``, float32, divided by its maximum, from 0 to 1.

    Args:
        output: output of a network.
        score_type: ``"softmax"`` for exclusive classes: one value per voxel, ``(N, 1, ...)``. ``"sigmoid"`` for
            independent classes: one per class and voxel. ``"peaks"`` for heat maps from 0 to 1: one per map, that of
            its maximum, ``(N, C)``, which is low for a clear peak and for none.
    """
    scores = output.detach().float()
    if score_type == "peaks":
        probability = scores.flatten(2).amax(-1).clamp(0, 1)
    elif score_type == "sigmoid" or scores.shape[1] == 1:
        probability = scores.sigmoid()
    else:
        return entr(scores.softmax(1)).sum(1, keepdim=True) / math.log(scores.shape[1])
    return (entr(probability) + entr(1 - probability)) / math.log(2)


def get_score_type(config: Mapping[str, Any]) -> str:
    """Return the score type of a network, from the postprocessing of its inference config."""
    text = json.dumps(config["postprocessing"])
    if "DecodeDiscsd" in text:
        return "peaks"
    return "sigmoid" if '"sigmoid": true' in text or "ComputeClassProbabilityd" in text else "softmax"


class UncertaintyEstimator:
    """Compute the mean entropy over the outputs of a task's network for an image.

    The image is preprocessed as in ``inference.json``. The mean covers all windows, tiles or slabs.

    Args:
        task: the task.
    """

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self._run = BundleRun(task)

    def stamp(self) -> str:
        """Return a text that identifies the served weights: the time of their last change."""
        return str(self.task.served_weights.stat().st_mtime_ns)

    def __call__(self, image: str, device: str = "cpu") -> float:
        """Return the uncertainty of an image, from 0 to 1.

        Args:
            image: path of the image.
            device: PyTorch device.

        Raises:
            BadInputError: if the image is invalid.
        """
        return INFERENCE_THREAD.submit(self._mean_entropy, image, device).result()

    def _mean_entropy(self, image: str, device: str) -> float:
        parser = ConfigParser(copy.deepcopy(self.task.config))
        fixed = {name: value for name, value in FIXED_OPTIONS.items() if name in self.task.config}
        parser.update({**fixed, **self.task.weight_options, "device": device})
        score_type, total, count = get_score_type(self.task.config), 0.0, 0

        def add_entropy(_module: Any, _inputs: Any, output: Any) -> None:
            nonlocal total, count
            entropy = normalized_entropy(output, score_type)
            total, count = total + float(entropy.double().sum()), count + entropy.numel()

        network = self._run.network(device)
        hook = network.register_forward_hook(add_entropy)
        try:
            case = parser.get_parsed_content("preprocessing")({"image": image, "case": "case"})
            with torch.inference_mode():
                parser.get_parsed_content("inferer")(list_data_collate([case])["image"].to(device), network)
        finally:
            hook.remove()
        return total / count


def stored_value(info: Mapping[str, Any], model: str, stamp: str) -> float | None:
    """Return the value in the info of an image for a model with these weights; None if there is none."""
    stored = info.get(INFO_KEY)
    record = stored.get(model) if isinstance(stored, dict) else None
    return record.get("value") if isinstance(record, dict) and record.get("weights") == stamp else None


def score_image(estimator: UncertaintyEstimator, datastore: Any, name: str, device: str = "cpu") -> float | None:
    """Compute the uncertainty of an image and store it in its info; None if the image is invalid.

    Args:
        estimator: estimator of the model.
        datastore: ``monailabel.interfaces.datastore.Datastore``.
        name: id of the image.
        device: PyTorch device.
    """
    stamp, image = estimator.stamp(), datastore.get_image_uri(name)
    try:
        value = round(estimator(image, device), 6)
    except Exception as error:
        new_record({"case": name, "image": image}).fail(error)
        return None
    stored = datastore.get_image_info(name).get(INFO_KEY, {})
    datastore.update_image_info(name, {INFO_KEY: {**stored, estimator.task.name: {"value": value, "weights": stamp}}})
    return value
