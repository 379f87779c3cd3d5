"""Scoring methods: agreement of the served model with final labels, and its uncertainty for unlabeled images."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.scoring import ScoringMethod

from bundle.io.volume_files import stem_of

from .final_labels import (
    FINAL,
    convert_cases,
    labeled_cases,
    require_cases,
    unlabeled_images,
    write_dataset,
)
from .label_tasks import LabelTask
from .labeled_case import LabeledCase
from .request_values import find_task, read_device, read_int
from .server_errors import RequestError
from .uncertainty import INFO_KEY, UncertaintyEstimator, score_image, stored_value
from .workflow_process import run_workflow

logger = logging.getLogger(__name__)

METRICS = {"DiscMetrics": "identification_rate", "ClassificationMetrics": "accuracy"}
"""Score of a case by the handler of its metrics; Dice for all others."""


class ServedScoring(ScoringMethod):
    """A scoring method for the served tasks; a request selects one by ``model``, by default the first.

    Args:
        tasks: the served tasks.
        description: description for clients.
    """

    def __init__(self, tasks: Sequence[LabelTask], description: str) -> None:
        super().__init__(description)
        self.tasks = {task.name: task for task in tasks}
        self.estimators = {name: UncertaintyEstimator(task) for name, task in self.tasks.items()}

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without computing anything.

        Raises:
            RequestError: if the request is invalid.
        """
        find_task(request, self.tasks)

    def is_outdated(self, datastore: Any) -> bool:
        """Return whether results of earlier requests are outdated by other weights or labels."""
        raise NotImplementedError


class UncertaintyScoring(ServedScoring):
    """Compute the uncertainty of all unlabeled images without a value for the served weights.

    Args:
        tasks: the served tasks.
    """

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__(tasks, "uncertainty of the model for each unlabeled image, from 0 to 1")

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without computing anything.

        Raises:
            RequestError: 404 for an unknown model, 400 if ``limit`` is not a number.
        """
        super().check(request, datastore)
        read_int(request, "limit", 0, low=0)

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Return the values by image, the number of newly computed ones, and the images without a value.

        ``limit`` in the request is the maximum number of images to compute; 0 for all.

        Raises:
            RequestError: as :meth:`check`.
        """
        self.check(request, datastore)
        estimator = self.estimators[find_task(request, self.tasks).name]
        device, stamp = read_device(request), estimator.stamp()
        images = unlabeled_images(datastore, estimator.task)
        values = {name: stored_value(datastore.get_image_info(name), estimator.task.name, stamp) for name in images}
        uncomputed = [name for name in images if values[name] is None]
        for name in uncomputed[: read_int(request, "limit", 0, low=0) or None]:
            values[name] = score_image(estimator, datastore, name, device)
            logger.info("%s: uncertainty %s", name, values[name])
        found = {name: value for name, value in values.items() if value is not None}
        return {
            "model": estimator.task.name,
            "uncertainty": found,
            "computed": sum(name in found for name in uncomputed),
            "missing": [name for name in images if name not in found],
        }

    def is_outdated(self, datastore: Any) -> bool:
        """Return whether an unlabeled image lacks a value although values were computed before."""
        infos = {name: datastore.get_image_info(name) for name in datastore.list_images()}
        return any(
            any(model in info.get(INFO_KEY, {}) for info in infos.values())
            and any(
                stored_value(infos[name], model, estimator.stamp()) is None
                for name in unlabeled_images(datastore, estimator.task)
            )
            for model, estimator in self.estimators.items()
        )


class Evaluation(ServedScoring):
    """Compare the predictions of the served model with the final labels, with ``evaluate.json`` of its task.

    Args:
        tasks: the served tasks.
    """

    KEY = "dice"

    def __init__(self, tasks: Sequence[LabelTask]) -> None:
        super().__init__(tasks, "agreement of the model with the final labels: Dice, or the main metric of the task")

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without computing anything.

        Raises:
            RequestError: 404 for an unknown model, 409 if there are no final labels that it uses.
        """
        super().check(request, datastore)
        require_cases(datastore, find_task(request, self.tasks), "scoring")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Return the score of every labeled image and the mean, and store each score in the info of its image.

        Raises:
            RequestError: as :meth:`check`.
            WorkflowError: if the evaluation fails.
        """
        task = find_task(request, self.tasks)
        cases = require_cases(datastore, task, "scoring")
        stamp, config = self.estimators[task.name].stamp(), task.read_config("evaluate.json")
        classes = config["dataset"]["data"]["_target_"].endswith("select_classified")
        scores, failures = self._evaluate(task, cases, read_device(request), classes=classes)
        for case in (case for case in cases if case.name in scores):
            record = {"value": scores[case.name], "weights": stamp, "label": _label_stamp(case)}
            stored = datastore.get_image_info(case.name).get(self.KEY, {})
            datastore.update_image_info(case.name, {self.KEY: {**stored, task.name: record}})
        return {
            "model": task.name,
            "metric": METRICS.get(next(iter(config["key_metric"].values()))["_target_"].split(".")[-1], "dice"),
            "mean": _mean(scores.values()) if scores else None,
            "cases": scores,
            "skipped": failures,
        }

    def _evaluate(
        self, task: LabelTask, cases: Sequence[LabeledCase], device: str, *, classes: bool
    ) -> tuple[dict[str, float], list[str]]:
        """Run ``evaluate.json`` on cases; return the scores by case and the messages of failed cases."""
        folder = task.work / "scoring"
        shutil.rmtree(folder, ignore_errors=True)
        cases, problems = convert_cases(cases, task, folder / "labels")
        if not cases:
            raise RequestError(409, "not scored, because all labels are invalid:\n" + "\n".join(problems))
        datalist = write_dataset(
            cases, folder / "data", validation=cases, classes=list(task.labels) if classes else None
        )
        overrides: dict[str, Any] = {
            "dataset_dir": str(datalist.parent),
            "datalist": str(datalist),
            "split": "all",
            "checkpoint": str(task.served_weights),
            "device": f"$torch.device('{device}')",
        }
        if task.ignore_value:
            overrides["ignore_label"] = task.ignore_value
        summary = run_workflow(task.config_file("evaluate.json"), overrides, folder / "run")
        metrics = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
        images = {stem_of(case.image): case.name for case in cases}
        rows = [{**row, "case": images.get(row["case"], row["case"])} for row in metrics["cases"]]
        return case_scores(rows), problems + [failure["message"] for failure in summary["failures"]]

    def is_outdated(self, datastore: Any) -> bool:
        """Return whether a stored score is outdated by other weights or another label."""
        stamps = {name: estimator.stamp() for name, estimator in self.estimators.items()}
        for model, task in self.tasks.items():
            for case in labeled_cases(datastore, task):
                stored = datastore.get_image_info(case.name).get(self.KEY)
                if not isinstance(stored, dict) or model not in stored:
                    continue
                record = stored[model]
                scored = (record.get("weights"), record.get("label")) if isinstance(record, dict) else None
                if scored != (stamps[model], _label_stamp(case)):
                    return True
        return False


def case_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return one score per case from the rows of ``metrics.json``: the mean over the rows of a case.

    The score is the Dice of a label map, the identification rate of discs, or the accuracy of classes. Rows without a
    defined score are ignored.

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
    return float(row["positive"] == row["label"]) if "positive" in row else row["dice"]


def _mean(values: Any) -> float:
    return round(float(np.mean(list(values))), 6)


def _label_stamp(case: LabeledCase) -> str:
    names = "".join(f",{value}={name}" for value, name in sorted(case.names.items()))
    return f"{FINAL}@{case.label.stat().st_mtime_ns}{names}"


def get_outdated_methods(methods: Mapping[str, Any], datastore: Any) -> list[str]:
    """Return the names of the scoring methods with outdated results."""
    return [name for name, method in methods.items() if method.is_outdated(datastore)]
