"""What a cross-validation runs, checked before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.data.datalist_file import relative_files
from bundle.experiments.experiment_configs import (
    carry_over,
    datalist_of,
    load_configs,
    override_configs,
    resolved,
    score_in_single_precision,
    set_epochs,
    use_dataset_names,
)
from bundle.experiments.experiment_options import ExperimentError, check_counts
from bundle.experiments.fold_datalist import datalist_with_folds
from bundle.utils.versions import versions
from bundle.workflow.model_folder import ModelFolder
from bundle.workflow.model_settings import use_model

KIND = "cross-validation"
TRAIN = Path(ROOT, "configs", "train.json")

TRAIN_IDS = (
    *("dataset_dir", "datalist", "fold", "output_dir", "checkpoint", "resume", "epochs", "val_interval"),
    *("network_def", "network", "train#trainer"),
)
EVALUATION_IDS = (
    *("dataset_dir", "datalist", "split", "fold", "output_dir", "checkpoint", "network_def", "network"),
    "dataset#data",
)
INFERENCE_IDS = ("checkpoint", "network_def", "network")
CARRIED = (
    *("device", "network_def", "attention", "deep_supervision", "label_names", "ignore_label", "roi_size", "pixdim"),
    "num_workers",
)
"""What evaluation and inference take from the train config, where both name it."""

RESERVED = {"dataset_dir", "datalist", "split", "fold", "output_dir", "input", "network", "resume"}
RESERVED |= {"epochs", "val_interval", "early_stop", "validation_split"}
"""What cannot be overridden: it is set by the cross-validation, or would look at the held-out fold."""

UNWATCHED = {"validation_split": "validation"}
"""Values of ids that a train config may have, with which neither test cases nor the held-out fold are looked at."""


UNCALIBRATED = {"temperature": 1.0, "thresholds": 0.5}
"""Values of ids that an evaluation or inference config may have for its shipped weights; those of a fold have none."""


@dataclass(frozen=True)
class CrossvalPlan:
    """All that a cross-validation runs.

    Args:
        dataset_dir: folder of the dataset.
        datalist: JSON file that names cases and folds; None for that of the dataset.
        new_datalist: datalist with new folds, where this plan assigned them; else None.
        folds: images of every fold, relative to ``dataset_dir``.
        test: images of the labeled test cases, which no fold is trained on.
        epochs: epochs of every training.
        nproc: processes that train a fold together.
        configs: content of the train, evaluation and inference config, with all overrides, by these names.
        plain: content of the evaluation and inference config as they are on disk.
    """

    dataset_dir: Path
    datalist: Path | None
    new_datalist: dict[str, Any] | None
    folds: dict[int, list[str]]
    test: list[str]
    epochs: int
    nproc: int
    configs: dict[str, dict[str, Any]]
    plain: dict[str, dict[str, Any]]

    def content(self) -> dict[str, Any]:
        """Return all that decides the result as JSON has it."""
        content = {
            "dataset": self.dataset_dir.resolve().name,
            "epochs": self.epochs,
            "nproc": self.nproc,
            **self.configs,
            "folds": {str(fold): images for fold, images in self.folds.items()},
            "test": self.test,
            "versions": versions(),
        }
        return json.loads(json.dumps(content))


def plan_crossval(
    dataset_dir: str | Path,
    *,
    config_file: Sequence[str | Path] = (TRAIN,),
    evaluation_file: Sequence[str | Path] | None = None,
    inference_file: Sequence[str | Path] | None = None,
    datalist: str | Path | None = None,
    folds: int | None = None,
    split_seed: int | None = None,
    epochs: int | None = None,
    nproc: int = 1,
    overrides: Mapping[str, Any] | None = None,
    model: str | Path | None = None,
) -> CrossvalPlan:
    """Check the options of a cross-validation and return its plan.

    Args:
        dataset_dir: folder of the dataset, as the task of the config takes it.
        config_file: train config, and overlays.
        evaluation_file: evaluation config, and overlays; by default ``evaluate.json`` next to the train config with the
            same overlays.
        inference_file: the same for the config of the inference, ``inference.json``.
        datalist: JSON file in MSD form; its labeled test cases are not trained on. By default that of the config.
        folds: number of folds, where the dataset names none or new ones are assigned; by default those of the dataset.
        split_seed: assign cases to new folds by this seed, whatever the datalist states.
        epochs: epochs of every training; those of the config by default.
        nproc: processes that train a fold together, one per GPU.
        overrides: values for ids of the configs.
        model: folder that a training has written, whose settings, not weights, every fold is trained with.

    Raises:
        ExperimentError: when an option cannot be used.
        BundleError: when the model folder cannot be used or does not agree with the overrides.
        DatalistError: when the dataset cannot be used.
    """
    check_counts(folds=folds, epochs=epochs, nproc=nproc)
    files = {
        "train": list(config_file),
        "evaluation": _next_to("evaluate.json", evaluation_file, config_file),
        "inference": _next_to("inference.json", inference_file, config_file),
    }
    configs = _load(files, overrides or {})
    datalist = datalist_of(configs["train"], datalist)
    others = [configs["evaluation"], configs["inference"]]
    use_dataset_names(configs["train"], others, _data(dataset_dir, datalist), overrides or {})
    if model is not None:
        _use_settings(configs, ModelFolder.read(model), overrides or {})
    _set_budget(configs["train"], epochs, _data(dataset_dir, datalist))
    new_datalist = None
    if folds is not None or split_seed is not None:
        new_datalist = datalist_with_folds(dataset_dir, datalist, folds or 5, split_seed, test=True)
    if new_datalist:
        cases = new_datalist["training"] + new_datalist["test"]
    else:
        cases = _list_cases(configs["evaluation"], dataset_dir, datalist)
    by_fold, test = _by_fold(cases, str(datalist or dataset_dir))
    if folds is not None and folds != len(by_fold):
        raise ExperimentError(
            f"folds: {datalist or dataset_dir} names {len(by_fold)} folds, and {folds} are requested; omit "
            "--folds, or pass --split_seed 0 to assign new ones."
        )
    return CrossvalPlan(
        dataset_dir=Path(dataset_dir),
        datalist=None if datalist is None else Path(datalist),
        new_datalist=new_datalist,
        folds=by_fold,
        test=test,
        epochs=configs["train"]["epochs"],
        nproc=nproc,
        configs=configs,
        plain={name: load_configs(name, files[name][:1], (), KIND) for name in ("evaluation", "inference")},
    )


def _next_to(name: str, files: Sequence[str | Path] | None, config_file: Sequence[str | Path]) -> list[str | Path]:
    return [Path(config_file[0]).with_name(name), *config_file[1:]] if files is None else list(files)


def _load(files: Mapping[str, Sequence[str | Path]], overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    ids = {"train": TRAIN_IDS, "evaluation": EVALUATION_IDS, "inference": INFERENCE_IDS}
    options = {"train": "config_file", "evaluation": "evaluation_file", "inference": "inference_file"}
    configs = {name: load_configs(options[name], files[name], ids[name], KIND) for name in files}
    train, evaluation = configs["train"], configs["evaluation"]
    for content in (evaluation, configs["inference"]):
        carry_over(train, content, CARRIED)
    score_in_single_precision(evaluation)
    for content in (evaluation, configs["inference"]):
        content.update({name: value for name, value in UNCALIBRATED.items() if name in content})
    names = list(dict.fromkeys(str(file) for group in files.values() for file in group))
    override_configs(list(configs.values()), overrides, reserved=RESERVED, files=names, kind=KIND)
    return configs


def _use_settings(configs: Mapping[str, dict[str, Any]], model: ModelFolder, overrides: Mapping[str, Any]) -> None:
    start = next((step for step in configs["train"].get("initialize", ()) if isinstance(step, dict)), {})
    if start.get("task", model.task) != model.task:
        raise ExperimentError(f"model: {model.folder} is of the task {model.task}, not {start['task']}.")
    for content in configs.values():
        parser = ConfigParser(content)
        use_model(parser, model, {name: value for name, value in overrides.items() if name in parser}, weights=False)


def _set_budget(train: dict[str, Any], epochs: int | None, data: Mapping[str, Any]) -> None:
    """Set the epochs of a train config, nothing that looks at the held-out fold, and check that its network builds."""
    set_epochs(train, epochs, **data)
    train.update({name: value for name, value in UNWATCHED.items() if name in train})
    resolved(train, "network_def", **data)


def _data(dataset_dir: str | Path, datalist: str | Path | None) -> dict[str, Any]:
    return {"dataset_dir": str(dataset_dir), "datalist": None if datalist is None else str(datalist)}


def _list_cases(
    evaluation: dict[str, Any], dataset_dir: str | Path, datalist: str | Path | None
) -> list[dict[str, Any]]:
    """Return all labeled cases as the task lists them."""
    cases = resolved(evaluation, "dataset#data", **_data(dataset_dir, datalist), split="all")
    files = [(case, relative_files(case["image"], dataset_dir)) for case in cases]
    return [{**case, "image": image} for case, image in files]


def _by_fold(cases: Sequence[Mapping[str, Any]], source: str) -> tuple[dict[int, list[str]], list[str]]:
    """Return the images of every fold, and those without one: the test cases."""
    images = [(case.get("fold"), _first(case["image"])) for case in cases]
    numbers = sorted({fold for fold, _ in images if fold is not None})
    if len(numbers) < 2:
        raise ExperimentError(f"folds: {source} has {len(numbers)}, and two are needed; pass --split_seed 0 --folds 5.")
    found = {number: sorted(image for fold, image in images if fold == number) for number in numbers}
    return found, sorted(image for fold, image in images if fold is None)


def _first(image: str | list[str]) -> str:
    return image if isinstance(image, str) else image[0]
