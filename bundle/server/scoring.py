"""Scoring of images: how right the served model is where there is a final label, how unsure where there is none."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.scoring import ScoringMethod

from .final_labels import FINAL, LabeledCase, labeled_cases, write_dataset
from .label_tasks import LabelTask
from .request_values import find_task, read_count, read_device
from .server_errors import RequestError
from .uncertainty import INFO, UncertaintyEstimator, score_image, stored_value
from .workflow_process import run_workflow

logger = logging.getLogger(__name__)

METRICS = {"DiscMetrics": "identification_rate", "ClassificationMetrics": "right_classes"}
"""What a case is scored by, by the handler that evaluates its task; all others give Dice."""


class ServedScoring(ScoringMethod):
    """A scoring method of the served tasks; a request chooses one by ``model``, by default the first.

    Args:
        tasks: the served tasks.
        description: what is computed.
    """

    def __init__(self, tasks: Sequence[LabelTask], description: str) -> None:
        super().__init__(description)
        self.tasks = {task.name: task for task in tasks}
        self.estimators = {name: UncertaintyEstimator(task) for name, task in self.tasks.items()}

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without doing anything.

        Raises:
            RequestError: when it cannot be answered.
        """
        find_task(request, self.tasks)

    def due(self, datastore: Any) -> bool:
        """Tell whether this was asked for before, and what was computed then is of other weights or labels."""
        raise NotImplementedError


class UncertaintyScoring(ServedScoring):
    """Compute the uncertainty of all unlabeled images whose value is missing or of other weights.

    Args:
        tasks: the served tasks.
    """

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__(tasks, "how unsure the model is of each unlabeled image, from 0 to 1")

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without doing anything.

        Raises:
            RequestError: 404 when there is no such model, 400 when ``limit`` is no number.
        """
        super().check(request, datastore)
        read_count(request, "limit", 0, low=0)

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Return the values by image, and how many were computed now, or could not be.

        ``limit`` in the request is how many images to compute at most; 0 for all.

        Raises:
            RequestError: as :meth:`check`.
        """
        self.check(request, datastore)
        estimator = self.estimators[find_task(request, self.tasks).name]
        device, stamp = read_device(request), estimator.stamp()
        images = sorted(datastore.get_unlabeled_images())
        values = {name: stored_value(datastore.get_image_info(name), estimator.task.name, stamp) for name in images}
        open_ones = [name for name in images if values[name] is None]
        for name in open_ones[: read_count(request, "limit", 0, low=0) or None]:
            values[name] = score_image(estimator, datastore, name, device)
            logger.info("%s: uncertainty %s", name, values[name])
        found = {name: value for name, value in values.items() if value is not None}
        return {
            "model": estimator.task.name,
            "uncertainty": found,
            "computed": sum(name in found for name in open_ones),
            "missing": [name for name in images if name not in found],
        }

    def due(self, datastore: Any) -> bool:
        """Tell whether an unlabeled image lacks a value, while some image has one of some weights."""
        infos = [datastore.get_image_info(name) for name in datastore.list_images()]
        unlabeled = [datastore.get_image_info(name) for name in datastore.get_unlabeled_images()]
        return any(
            any(model in info.get(INFO, {}) for info in infos)
            and any(stored_value(info, model, estimator.stamp()) is None for info in unlabeled)
            for model, estimator in self.estimators.items()
        )


class Evaluation(ServedScoring):
    """Compare what the served model finds with the final labels, by ``evaluate.json`` of its task.

    Args:
        tasks: the served tasks.
    """

    KEY = "dice"

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__(tasks, "how well the model agrees with the final labels: Dice, or what the task is judged by")

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without doing anything.

        Raises:
            RequestError: 404 when there is no such model, 409 when there are no labels.
        """
        super().check(request, datastore)
        if not datastore.get_labeled_images():
            raise RequestError(409, "no image has a final label yet, so that there is nothing to compare with.")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Return the score of every labeled image and their mean, and store each in the info of its image.

        Raises:
            RequestError: as :meth:`check`.
            WorkflowError: when the evaluation fails.
        """
        self.check(request, datastore)
        task = find_task(request, self.tasks)
        stamp, cases, folder = self.estimators[task.name].stamp(), labeled_cases(datastore), task.work / "scoring"
        shutil.rmtree(folder, ignore_errors=True)
        content = json.loads((task.config_dir / "evaluate.json").read_text(encoding="utf-8"))
        classes = content["dataset"]["data"]["_target_"].endswith("select_classified")
        datalist = write_dataset(cases, folder / "data", validation=cases, classes=classes)
        overrides = {
            "dataset_dir": str(datalist.parent),
            "datalist": str(datalist),
            "split": "all",
            "checkpoint": str(task.served),
            "device": f"$torch.device('{read_device(request)}')",
        }
        summary = run_workflow(task.config_dir / "evaluate.json", overrides, folder / "run")
        metrics = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
        scores = case_scores(metrics["cases"])
        for case in cases:
            if case.name in scores:
                record = {"value": scores[case.name], "weights": stamp, "label": _changed(case)}
                known = datastore.get_image_info(case.name).get(self.KEY, {})
                datastore.update_image_info(case.name, {self.KEY: {**known, task.name: record}})
        return {
            "model": task.name,
            "metric": METRICS.get(next(iter(content["key_metric"].values()))["_target_"].split(".")[-1], "dice"),
            "mean": _mean(scores.values()) if scores else None,
            "cases": scores,
            "left_out": [failure["message"] for failure in summary["failures"]],
        }

    def due(self, datastore: Any) -> bool:
        """Tell whether a score of an image with a final label is of other weights or of an earlier label."""
        stamps = {name: estimator.stamp() for name, estimator in self.estimators.items()}
        for case in labeled_cases(datastore):
            kept = datastore.get_image_info(case.name).get(self.KEY)
            for model, record in kept.items() if isinstance(kept, dict) else ():
                known = (record.get("weights"), record.get("label")) if isinstance(record, dict) else None
                if model in stamps and known != (stamps[model], _changed(case)):
                    return True
        return False


def case_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return one number a case from the rows of ``metrics.json``: the mean over what a case has of it.

    It is the Dice of label maps, the share of discs that were named rightly, or that of classes that were called
    rightly. Rows in which it is not defined do not count.

    Args:
        rows: its ``"cases"``.
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        value = _score(row)
        if value is not None:
            values.setdefault(str(row["case"]), []).append(value)
    return {case: _mean(found) for case, found in values.items()}


def _score(row: Mapping[str, Any]) -> float | None:
    if "metrics" in row:
        return row["metrics"]["identification_rate"]
    return float(row["called"] == row["label"]) if "called" in row else row["dice"]


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 6)


def _changed(case: LabeledCase) -> str:
    return f"{FINAL}@{case.label.stat().st_mtime_ns}"


def due_methods(methods: Mapping[str, Any], datastore: Any) -> list[str]:
    """Return the names of the scoring methods whose stored results need a renewal."""
    return [name for name, method in methods.items() if method.due(datastore)]
