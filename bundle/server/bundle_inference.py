"""Inference of one task as MONAI Label calls it."""

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
from .panel_options import panel_of
from .request_values import read_device
from .response_files import answer_file, format_of

logger = logging.getLogger(__name__)

KEPT_BACK = ("input", "output", "image", "files", "checkpoint", "frame", "unit")
"""Parts of a record that hold paths of the server or are told elsewhere."""


class BundleInference(InferTask):
    """A task of the bundle behind MONAI Label's interface.

    It runs the task's ``inference.json`` itself, see :class:`.BundleRun`, so that the answer is what
    ``monai.bundle run`` writes for the same file.

    Args:
        task: the task.
        results: folder for the files of answers, until the server has sent them.
    """

    def __init__(self, task: LabelTask, results: Path) -> None:
        self.task, self.results, self.run = task, results, BundleRun(task)
        panel = {"device": device_list(), **panel_of(task)}
        dimension = 3 if task.kind == VOLUME else 2
        super().__init__(task.type, task.labels, dimension, task.metadata["description"], panel)

    def info(self) -> dict[str, Any]:
        """Describe the task, with the version of its metadata."""
        return {**super().info(), "version": self.task.metadata["version"]}

    def is_valid(self) -> bool:
        """Tell whether there are weights."""
        return self.task.served.is_file()

    def get_path(self, validate: bool = True) -> str:
        """Return the weights that are served, or where uploaded ones go, which is never among the shipped ones."""
        return str(self.task.served if validate else self.task.weights)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer a request with ``"image"``, a path, ``"device"`` and options; return a file and what is told of it.

        Raises:
            RequestError: when options or the image cannot be used.
        """
        begin = time.perf_counter()
        self.results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.results) as folder:
            device, changes = read_device(request), format_of(self.task, request)
            result = self.run(request["image"], folder, request, device=device, overrides=changes)
            file = None if result.file is None else str(answer_file(result.file, self.task, request, self.results))
            told = self._told(result, changes)
        seconds = round(time.perf_counter() - begin, 3)
        logger.info("%s: %s in %.2f s on %s", self.task.name, request["image"], seconds, device)
        return file, {**told, "latencies": {"total": seconds}, "centroids": {}}

    def _told(self, result: CaseResult, changes: Mapping[str, Any]) -> dict[str, Any]:
        names = self.task.labels
        levels = changes.get("levels", self.task.config.get("levels"))
        if levels is not None:
            names = dict(zip(names, levels, strict=True))
        told: dict[str, Any] = {"label_names": names}
        record = {key: value for key, value in result.record.items() if key not in KEPT_BACK}
        weights = result.record.get("checkpoint")
        told["result"] = {**record, "weights": weights["sha256"] if weights else None}
        if "discs" in record:
            told["points"] = {disc["name"]: disc["position"] for disc in record["discs"]}
        if "classes" in record:
            scores = {name: found["probability"] for name, found in record["classes"].items()}
            told["prediction"] = [{"idx": i, "label": name, "score": scores[name]} for i, name in enumerate(scores)]
        for markups in result.folder.glob("*.mrk.json"):
            told["markups"] = json.loads(markups.read_text(encoding="utf-8"))
        return told
