"""Training of a served task on the final labels of the datastore."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.transforms import Compose
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import device_list

from bundle.data.datalist_file import DatalistError
from bundle.io.input_checks import BadInputError
from bundle.utils.atomic_write import atomic_copy
from bundle.utils.write_json import write_json

from .final_labels import convert_cases, require_cases, select_validation_cases, write_dataset
from .label_tasks import LabelTask
from .labeled_case import LabeledCase
from .request_values import read_bool, read_device, read_int, read_number
from .server_errors import RequestError
from .workflow_process import run_workflow

logger = logging.getLogger(__name__)

EPOCHS = 20
"""Default number of epochs in the panel of Slicer."""

FINE_TUNING = 0.1
"""Factor for the learning rate of the config when the training starts from the served weights."""

CONFIG_OPTIONS = ("batch_size", "samples_per_epoch")
"""Config ids that a request can set, if the config has them."""


class LabelsError(RequestError):
    """Final labels that are not valid for training.

    Args:
        message: the invalid files, the problem of each, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(409, message)


@dataclass(frozen=True)
class TrainOptions:
    """The options of a request.

    Args:
        epochs: number of epochs.
        validation_fraction: fraction of the labeled cases to hold out for validation, in [0, 1).
        pretrained: start from the served weights, not from random ones.
        learning_rate: learning rate; None for that of the config, times :data:`FINE_TUNING` if ``pretrained``.
        device: ``"cpu"`` or ``"cuda"``, with or without a number.
        config_values: further values by config id.
    """

    epochs: int
    validation_fraction: float
    pretrained: bool
    learning_rate: float | None
    device: str
    config_values: Mapping[str, int]


class BundleTraining(TrainTask):
    """Train a task on the images with a final label, with its ``train.json``, and serve the trained weights.

    Args:
        task: the task.

    Raises:
        OSError: if the task has no ``train.json`` or ``metadata.json``.
    """

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self.config_file = task.config_file("train.json")
        self.content = task.read_config("train.json")
        super().__init__(f"training on the final labels: {task.metadata['description']}")

    def info(self) -> dict[str, Any]:
        """Return description, version and options."""
        return {**super().info(), "version": self.task.metadata["version"]}

    def config(self) -> dict[str, Any]:
        """Return the options and their defaults for the panel of Slicer; a learning rate of 0 means the default."""
        return {
            "device": device_list(),
            "pretrained": True,
            "max_epochs": EPOCHS,
            "val_split": 0.2,
            "learning_rate": 0.0,
            **{name: self.content[name] for name in CONFIG_OPTIONS if name in self.content},
        }

    def stats(self) -> dict[str, Any]:
        """Return the record of the last successful training; empty if there was none."""
        try:
            return json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def options(self, request: Mapping[str, Any]) -> TrainOptions:
        """Read the options of a request.

        Raises:
            RequestError: 400 if a value is out of range.
        """
        rate = read_number(request, "learning_rate", 0.0, low=0.0)
        return TrainOptions(
            epochs=read_int(request, "max_epochs", EPOCHS),
            validation_fraction=read_number(request, "val_split", 0.2, low=0.0, below=1.0),
            pretrained=read_bool(request, "pretrained", True),
            learning_rate=rate or None,
            device=read_device(request),
            config_values={
                name: read_int(request, name, self.content[name])
                for name in CONFIG_OPTIONS
                if name in self.content and name in request
            },
        )

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without training.

        Raises:
            RequestError: 400 if an option is out of range, 409 if there are no final labels that the task uses.
        """
        self.options(request)
        require_cases(datastore, self.task, "training")

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, and replace the served weights atomically.

        Returns:
            The record of the training, see :meth:`stats`.

        Raises:
            RequestError: as :meth:`check`.
            LabelsError: if a label is invalid; nothing is trained then.
            WorkflowError: if the training fails; the served weights do not change.
        """
        options, started = self.options(request), time.time()
        cases = require_cases(datastore, self.task, "training")
        folder = self.task.work / "training"
        shutil.rmtree(folder, ignore_errors=True)
        cases, problems = convert_cases(cases, self.task, folder / "labels")
        if problems:
            raise LabelsError("not trained, because these labels are invalid:\n" + "\n".join(problems))
        validation = select_validation_cases(cases, options.validation_fraction)
        overrides = self._overrides(options, self._dataset(cases, validation, folder / "data"))
        if "samples_per_epoch" not in self.content:
            size = options.config_values.get("batch_size", self.content["batch_size"])
            overrides["batch_size"] = min(size, len(cases) - len(validation))
        if self.task.ignore_value:
            overrides["ignore_label"] = self.task.ignore_value
        check_labels(self.config_file, overrides)
        logger.info(
            "%s: training on %d cases, validation on %s",
            self.task.name,
            len(cases) - len(validation),
            f"{len(validation)} others" if validation else "the same cases; too few labels to hold some out",
        )
        summary = run_workflow(self.config_file, overrides, folder / "run")
        self.task.trained_weights.parent.mkdir(parents=True, exist_ok=True)
        atomic_copy(folder / "run" / "model.pt", self.task.trained_weights)
        record = {
            "model": self.task.name,
            "epochs": options.epochs,
            "trained_on": sorted({case.name for case in cases} - {case.name for case in validation}),
            "validated_on": sorted({case.name for case in validation}) or "the training cases",
            "best_metric": _read_best_metric(folder / "run" / "last.pt"),
            "skipped": [failure["message"] for failure in summary["failures"]],
            "pretrained": options.pretrained,
            "device": options.device,
            "total_time": round(time.time() - started, 1),
        }
        write_json(self._record, record)
        logger.info("%s: the next request uses the new weights", self.task.name)
        return record

    @property
    def _record(self) -> Path:
        return self.task.work / "training.json"

    def _dataset(self, cases: Sequence[LabeledCase], validation: Sequence[LabeledCase], folder: Path) -> Path:
        reader = str(self.content["train"]["dataset"]["data"]["_target_"])
        classes = list(self.task.labels) if reader.endswith("select_classified") else None
        try:
            return write_dataset(cases, folder, validation=validation, classes=classes)
        except DatalistError as error:
            raise LabelsError(str(error)) from error

    def _overrides(self, options: TrainOptions, datalist: Path) -> dict[str, Any]:
        rate = options.learning_rate or self.content["learning_rate"] * (FINE_TUNING if options.pretrained else 1)
        return {
            "dataset_dir": str(datalist.parent),
            "datalist": str(datalist),
            "fold": 0,
            "checkpoint": str(self.task.served_weights) if options.pretrained else None,
            "device": f"$torch.device('{options.device}')",
            "epochs": options.epochs,
            "val_interval": min(self.content["val_interval"], options.epochs),
            "learning_rate": rate,
            **options.config_values,
        }


def check_labels(config_file: str | Path, overrides: Mapping[str, Any]) -> None:
    """Load all cases as a training config does, without its random transforms.

    Args:
        config_file: config of the training.
        overrides: values by config id.

    Raises:
        LabelsError: if any cannot be loaded, with the problem of each.
    """
    parser = ConfigParser()
    parser.read_config(str(config_file))
    parser.update(dict(overrides))
    load = Compose(parser.get_parsed_content("train#deterministic_transforms"))
    sections = [parser.get_parsed_content(f"{name}#dataset#data") for name in ("train", "validate")]
    problems = []
    for case in {str(case.get("label")) + case["case"]: case for cases in sections for case in cases}.values():
        try:
            load(case)
        except Exception as error:
            problems.append(_describe_problem(case, error))
    if problems:
        raise LabelsError("not trained, because these labels are invalid:\n" + "\n".join(sorted(set(problems))))


def _describe_problem(case: Mapping[str, Any], error: BaseException) -> str:
    while error.__cause__ is not None and not isinstance(error, BadInputError):
        error = error.__cause__
    is_named = isinstance(error, BadInputError) or str(case.get("label")) in str(error)
    return str(error) if is_named else f"{case.get('label', case['image'])}: {type(error).__name__}: {error}"


def _read_best_metric(checkpoint: Path) -> float | None:
    """Return the best metric of the validations; None if there was none."""
    import torch

    value = float(torch.load(checkpoint, map_location="cpu", weights_only=True).get("best_metric", math.nan))
    return value if math.isfinite(value) and value >= 0 else None
