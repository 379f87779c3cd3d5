"""Training of a served task on the final labels of the datastore."""

from __future__ import annotations

import json
import logging
import math
import os
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

from bundle.data.datalist_error import DatalistError
from bundle.io.input_checks import BadInputError
from bundle.utils.atomic_write import atomic_write
from bundle.utils.write_json import write_json

from .final_labels import LabeledCase, held_out, labeled_cases, write_dataset
from .label_tasks import LabelTask
from .request_values import read_count, read_device, read_number, read_switch
from .server_errors import RequestError
from .workflow_process import run_workflow

logger = logging.getLogger(__name__)

EPOCHS = 20
"""Epochs that the panel of Slicer proposes."""

FINE_TUNING = 0.1
"""Share of the learning rate of the config with which served weights are trained on."""

SHOWN = ("batch_size", "samples_per_epoch")
"""Config ids that a request can set, where the config has them."""


class LabelsError(RequestError):
    """Final labels that cannot be trained with.

    Args:
        message: names each file, what is wrong with it and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(409, message)


@dataclass(frozen=True)
class TrainOptions:
    """What a request asks for.

    Args:
        epochs: number of epochs.
        share: share of the labeled cases to hold out for validation, in [0, 1).
        pretrained: start from the served weights, not from scratch.
        learning_rate: learning rate; None for that of the config, times :data:`FINE_TUNING` for served weights.
        device: ``"cpu"`` or ``"cuda"``, with or without a number.
        shown: further values by config id.
    """

    epochs: int
    share: float
    pretrained: bool
    learning_rate: float | None
    device: str
    shown: Mapping[str, int]


class BundleTraining(TrainTask):
    """Run ``train.json`` of a task on the images with a final label, and serve the weights that it leaves.

    Args:
        task: the task.

    Raises:
        OSError: when the task has no ``train.json`` or ``metadata.json``.
    """

    def __init__(self, task: LabelTask) -> None:
        self.task = task
        self.config_file = task.config_dir / "train.json"
        self.content = json.loads(self.config_file.read_text(encoding="utf-8"))
        metadata = json.loads((task.config_dir / "metadata.json").read_text(encoding="utf-8"))
        self.version = metadata["version"]
        super().__init__(f"training on the final labels: {metadata['description']}")

    def info(self) -> dict[str, Any]:
        """Return description, version and options."""
        return {**super().info(), "version": self.version}

    def config(self) -> dict[str, Any]:
        """Return the options and their defaults, as the panel of Slicer shows them; a learning rate of 0 is a guess."""
        return {
            "device": device_list(),
            "pretrained": True,
            "max_epochs": EPOCHS,
            "val_split": 0.2,
            "learning_rate": 0.0,
            **{name: self.content[name] for name in SHOWN if name in self.content},
        }

    def stats(self) -> dict[str, Any]:
        """Return the record of the last training that ended well; empty where there was none."""
        try:
            return json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def options(self, request: Mapping[str, Any]) -> TrainOptions:
        """Read a request.

        Raises:
            RequestError: 400 when a value is out of range.
        """
        rate = read_number(request, "learning_rate", 0.0, low=0.0)
        return TrainOptions(
            epochs=read_count(request, "max_epochs", EPOCHS),
            share=read_number(request, "val_split", 0.2, low=0.0, below=1.0),
            pretrained=read_switch(request, "pretrained", True),
            learning_rate=rate or None,
            device=read_device(request),
            shown={
                name: read_count(request, name, self.content[name])
                for name in SHOWN
                if name in self.content and name in request
            },
        )

    def check(self, request: Mapping[str, Any], datastore: Any) -> None:
        """Check a request without doing anything.

        Raises:
            RequestError: 400 when an option is out of range, 409 when there are no labels to train with.
        """
        self.options(request)
        if not datastore.get_labeled_images():
            raise RequestError(
                409, f"{self.task.name}: no image has a final label yet; submit one, and then train on it."
            )

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, and replace the served weights in one step.

        Returns:
            The record of the training, see :meth:`stats`.

        Raises:
            RequestError: as :meth:`check`.
            LabelsError: when labels cannot be used; nothing is trained then.
            WorkflowError: when the training fails; the served weights stay as they are.
        """
        self.check(request, datastore)
        options, cases, started = self.options(request), labeled_cases(datastore), time.time()
        folder = self.task.work / "training"
        shutil.rmtree(folder, ignore_errors=True)
        validation = held_out(cases, options.share)
        overrides = self._overrides(options, self._dataset(cases, validation, folder / "data"))
        if "samples_per_epoch" not in self.content:
            size = options.shown.get("batch_size", self.content["batch_size"])
            overrides["batch_size"] = min(size, len(cases) - len(validation))
        check_labels(self.config_file, overrides)
        told = f"on {len(validation)} others" if validation else "on the same, since there are too few to hold some out"
        logger.info(
            "%s: training on %d labeled cases, validating %s", self.task.name, len(cases) - len(validation), told
        )
        summary = run_workflow(self.config_file, overrides, folder / "run")
        publish(folder / "run" / "model.pt", self.task.weights)
        record = {
            "model": self.task.name,
            "epochs": options.epochs,
            "trained_on": sorted({case.name for case in cases} - {case.name for case in validation}),
            "validated_on": [case.name for case in validation] or "the training cases",
            "best_metric": _best(folder / "run" / "last.pt"),
            "left_out": [failure["message"] for failure in summary["failures"]],
            "pretrained": options.pretrained,
            "device": options.device,
            "total_time": round(time.time() - started, 1),
        }
        write_json(self._record, record)
        logger.info("%s: the new weights are served from the next request on", self.task.name)
        return record

    @property
    def _record(self) -> Path:
        return self.task.work / "training.json"

    def _dataset(self, cases: Sequence[LabeledCase], validation: Sequence[LabeledCase], folder: Path) -> Path:
        source = str(self.content["train"]["dataset"]["data"]["_target_"])
        try:
            return write_dataset(cases, folder, validation=validation, classes=source.endswith("select_classified"))
        except DatalistError as error:
            raise LabelsError(str(error)) from error

    def _overrides(self, options: TrainOptions, datalist: Path) -> dict[str, Any]:
        rate = options.learning_rate or self.content["learning_rate"] * (FINE_TUNING if options.pretrained else 1)
        return {
            "dataset_dir": str(datalist.parent),
            "datalist": str(datalist),
            "fold": 0,
            "checkpoint": str(self.task.served) if options.pretrained else None,
            "device": f"$torch.device('{options.device}')",
            "epochs": options.epochs,
            "val_interval": min(self.content["val_interval"], options.epochs),
            "learning_rate": rate,
            **options.shown,
        }


def check_labels(config_file: str | Path, overrides: Mapping[str, Any]) -> None:
    """Load all cases as a training config does, up to its random transforms.

    Args:
        config_file: config of the training.
        overrides: values by config id.

    Raises:
        LabelsError: when some cannot be loaded, with what is wrong with each of them.
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
            problems.append(_problem(case, error))
    if problems:
        raise LabelsError("nothing was trained, since labels cannot be used:\n" + "\n".join(sorted(set(problems))))


def publish(source: Path, target: Path) -> None:
    """Put a copy of a file in the place of another in one step, so that every reader sees one of them as a whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        shutil.copyfile(source, partial)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())


def _problem(case: Mapping[str, Any], error: BaseException) -> str:
    while error.__cause__ is not None and not isinstance(error, BadInputError):
        error = error.__cause__
    named = isinstance(error, BadInputError) or str(case.get("label")) in str(error)
    return str(error) if named else f"{case.get('label', case['image'])}: {type(error).__name__}: {error}"


def _best(checkpoint: Path) -> float | None:
    """Return the best metric of the validations, None where there was none."""
    import torch

    value = float(torch.load(checkpoint, map_location="cpu", weights_only=True).get("best_metric", math.nan))
    return value if math.isfinite(value) and value >= 0 else None
