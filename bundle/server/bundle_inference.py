"""Inference of a task with the interface of MONAI Label."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.utils.others.generic import device_list

from .bundle_run import BundleRun, CaseResult
from .label_tasks import VOLUME, LabelTask
from .panel_options import get_consecutive_values, get_panel_options
from .request_values import read_device
from .response_files import get_format_overrides, write_response_file

logger = logging.getLogger(__name__)

HIDDEN_KEYS = ("input", "output", "image", "files", "checkpoint", "frame", "unit")
"""Keys of a record that are not sent: they hold paths of the server or are returned elsewhere in the response."""


class BundleInference(InferTask):
    """Inference of a task with the interface of MONAI Label.

    It runs the task's ``inference.json`` with :class:`.BundleRun`, so that the result is the one that
    ``monai.bundle run`` writes for the same file.

    Args:
        task: the task.
        results: folder for the files of responses until the server has sent them.
    """

    def __init__(self, task: LabelTask, results: Path) -> None:
        self.task, self.results, self.run = task, results, BundleRun(task)
        panel = {"device": device_list(), **get_panel_options(task)}
        dimension = 3 if task.kind == VOLUME else 2
        super().__init__(task.type, task.all_labels, dimension, task.metadata["description"], panel)

    def info(self) -> dict[str, Any]:
        """Describe the task, with the version of its metadata."""
        return {**super().info(), "version": self.task.metadata["version"]}

    def is_valid(self) -> bool:
        """Return whether the weights exist."""
        return self.task.served_weights.is_file()

    def get_path(self, validate: bool = True) -> str:
        """Return the path of the served weights, or that of uploaded ones, which never replace the shipped file."""
        return str(self.task.served_weights if validate else self.task.trained_weights)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Run the inference for a request.

        Args:
            request: ``"image"`` (a path), ``"device"`` and options.

        Returns:
            The result file, None where the task writes none, and the parameters of the response.

        Raises:
            RequestError: if an option or the image is invalid.
        """
        begin = time.perf_counter()
        self.results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.results) as folder:
            device, overrides = read_device(request), get_format_overrides(self.task, request)
            result = self.run(request["image"], folder, request, device=device, overrides=overrides)
            params = self._response_params(result, overrides)
            values = get_consecutive_values(self.task, request, params["label_names"])
            if values is not None:
                params["label_names"] = {name: values[value] for name, value in params["label_names"].items()}
            file = None
            if result.file is not None:
                file = str(write_response_file(result.file, self.task, request, self.results, values=values))
        seconds = round(time.perf_counter() - begin, 3)
        logger.info("%s: %s in %.2f s on %s", self.task.name, request["image"], seconds, device)
        return file, {**params, "latencies": {"total": seconds}, "centroids": {}}

    def _names_in(self, record: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, int]:
        """Return the values in the label map of a case by name: of an image with regions, those that were found."""
        if self.task.region_labels and "labels" in record:
            return {name: measured["value"] for name, measured in record["labels"].items()}
        levels = overrides.get("levels", self.task.config.get("levels"))
        return self.task.labels if levels is None else dict(zip(self.task.labels, levels, strict=True))

    def _response_params(self, result: CaseResult, overrides: Mapping[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {"label_names": self._names_in(result.record, overrides)}
        record = {key: value for key, value in result.record.items() if key not in HIDDEN_KEYS}
        weights = result.record.get("checkpoint")
        params["result"] = {**record, "weights": weights["sha256"] if weights else None}
        if "discs" in record:
            params["points"] = {disc["name"]: disc["position"] for disc in record["discs"]}
        if "classes" in record:
            scores = {name: found["probability"] for name, found in record["classes"].items()}
            params["prediction"] = [{"idx": i, "label": name, "score": scores[name]} for i, name in enumerate(scores)]
        for markups in result.folder.glob("*.mrk.json"):
            params["markups"] = json.loads(markups.read_text(encoding="utf-8"))
        return params
