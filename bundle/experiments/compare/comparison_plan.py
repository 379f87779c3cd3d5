"""What a comparison runs, checked before anything is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from bundle import ROOT
from bundle.attention.attention_factory import AttentionSpec
from bundle.experiments.experiment_configs import (
    carry_over,
    datalist_of,
    load_configs,
    override_configs,
    root_cause,
    score_in_single_precision,
    set_epochs,
    use_dataset_names,
)
from bundle.experiments.experiment_options import ExperimentError, check_counts
from bundle.experiments.fold_datalist import datalist_with_folds
from bundle.utils.versions import versions

from .comparison_options import REFERENCE

KIND = "comparison"

TRAIN_IDS = (
    *("dataset_dir", "datalist", "fold", "output_dir", "seed", "epochs", "val_interval", "attention"),
    *("network_def", "network", "train#trainer"),
)
EVALUATION_IDS = ("dataset_dir", "datalist", "split", "fold", "output_dir", "network")
CARRIED = ("device", "label_names", "ignore_label", "roi_size", "pixdim", "spacing_range", "num_workers")
"""What the evaluation takes from the train config, where both name it."""

RESERVED = {*TRAIN_IDS, *EVALUATION_IDS, "checkpoint", "resume", "early_stop"} - {"network_def", "train#trainer"}
"""What cannot be overridden: it is set by the comparison, or would look at the held-out fold."""


@dataclass(frozen=True)
class Run:
    """One training: a mechanism, the fold that it does not see, and a seed."""

    fold: int
    seed: int
    attention: str

    @property
    def name(self) -> str:
        """Name of the folder of the run."""
        return f"fold{self.fold}_seed{self.seed}_{re.sub('[^A-Za-z0-9_.=]+', '-', self.attention).strip('-')}"


@dataclass(frozen=True)
class ComparisonPlan:
    """All runs of a comparison and what they share.

    Args:
        dataset_dir: folder of the dataset.
        attention: config value of every mechanism by its label.
        folds: folds that are held out in turn.
        seeds: seeds of the trainings.
        epochs: epochs of every training.
        train: content of the train config, with all overrides.
        evaluation: content of the evaluation config, with all overrides.
        datalist: cases and folds.
    """

    dataset_dir: Path
    attention: dict[str, AttentionSpec]
    folds: list[int]
    seeds: list[int]
    epochs: int
    train: dict[str, Any]
    evaluation: dict[str, Any]
    datalist: dict[str, Any]

    def runs(self) -> list[Run]:
        """Return the runs; the mechanisms take turns, so that an unfinished comparison is even."""
        return [Run(fold, seed, name) for fold in self.folds for seed in self.seeds for name in self.attention]

    def content(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        content = {
            "dataset": self.dataset_dir.resolve().name,
            "cases": sum(case["fold"] in self.folds for case in self.datalist["training"]),
            "training_cases": [self._others(fold) for fold in self.folds],
            **{name: getattr(self, name) for name in ("attention", "folds", "seeds", "epochs")},
            **{name: getattr(self, name) for name in ("train", "evaluation", "datalist")},
            "versions": versions(),
        }
        return json.loads(json.dumps(content))

    def _others(self, fold: int) -> int:
        return sum(case["fold"] != fold for case in self.datalist["training"])


def plan_comparison(
    dataset_dir: str | Path,
    *,
    attention: Sequence[AttentionSpec] = (None, "se", "csa", "sca", "pam"),
    folds: int = 3,
    seeds: int = 3,
    epochs: int | None = None,
    datalist: str | Path | None = None,
    split_seed: int | None = None,
    config_file: Sequence[str | Path] = (Path(ROOT, "configs", "train.json"),),
    evaluation_file: Sequence[str | Path] = (Path(ROOT, "configs", "evaluate.json"),),
    overrides: Mapping[str, Any] | None = None,
) -> ComparisonPlan:
    """Check the options of a comparison and return its plan.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.data.load_datalist`.
        attention: mechanisms as a config names them; None is the reference and must be among them.
        folds: number of folds that are held out in turn, the first ones where the datalist has more.
        seeds: number of trainings per fold and mechanism, with the seeds 0, 1, ...
        epochs: epochs of every training; those of the config by default.
        datalist: JSON file in MSD form, by default that of the config; its section ``test`` is not used. The folds of
            the cases are those that the datalist names; where it names none, cases are assigned to folds.
        split_seed: assign cases to new folds by this seed, whatever the datalist states.
        config_file: train config, and overlays.
        evaluation_file: evaluation config, and overlays.
        overrides: values for ids of the configs.

    Raises:
        ExperimentError: when an option cannot be used.
        DatalistError: when the dataset cannot be used.
    """
    train = load_configs("config_file", config_file, TRAIN_IDS, KIND)
    evaluation = load_configs("evaluation_file", evaluation_file, EVALUATION_IDS, KIND)
    datalist = datalist_of(train, datalist)
    data = {"dataset_dir": str(dataset_dir), "datalist": None if datalist is None else str(datalist)}
    check_counts(folds=folds, seeds=seeds)
    carry_over(train, evaluation, CARRIED)
    score_in_single_precision(evaluation)
    files = [str(file) for file in (*config_file, *evaluation_file)]
    override_configs((train, evaluation), overrides or {}, reserved=RESERVED, files=files, kind=KIND)
    use_dataset_names(train, [evaluation], data, overrides or {})
    set_epochs(train, epochs, **data)
    cases = datalist_with_folds(dataset_dir, datalist, folds, split_seed)
    numbers = sorted({case["fold"] for case in cases["training"]})[:folds]
    mechanisms = _mechanisms(attention)
    plan = ComparisonPlan(
        Path(dataset_dir), mechanisms, numbers, list(range(seeds)), train["epochs"], train, evaluation, cases
    )
    for name in mechanisms:
        build_network(plan, name)
    return plan


def build_network(plan: ComparisonPlan, name: str, seed: int = 0) -> nn.Module:
    """Build the network with the mechanism ``name``; its other weights are those of the network without attention.

    Raises:
        ExperimentError: when the config or the mechanism does not build, or attention changes the shapes of the other
            weights.
    """
    plain, network = _build(plan, REFERENCE, seed).state_dict(), _build(plan, name, seed)
    weights = network.state_dict()
    other = sorted(key for key in plain if key not in weights or weights[key].shape != plain[key].shape)
    if other:
        raise ExperimentError(
            f"attention {name!r} does not only add weights to the network: {', '.join(other[:3])} of the network "
            "without attention are missing or of another shape, so the two cannot start alike."
        )
    network.load_state_dict({**weights, **plain})
    return network


def _mechanisms(attention: Sequence[AttentionSpec]) -> dict[str, AttentionSpec]:
    labels = [_label(name) for name in attention]
    doubles = sorted({label for label in labels if labels.count(label) > 1})
    if doubles:
        raise ExperimentError(f"attention names {', '.join(doubles)} more than once.")
    if REFERENCE not in labels:
        raise ExperimentError(f"attention {', '.join(labels)} lacks {REFERENCE!r}, which all others are compared with.")
    return dict(zip(labels, attention, strict=True))


def _label(name: AttentionSpec) -> str:
    if name is None or isinstance(name, str):
        return REFERENCE if name is None else name
    if not isinstance(name, Sequence) or len(name) != 2 or not isinstance(name[1], Mapping):
        raise ExperimentError(f"attention must be names or pairs [name, {{options}}], got {name!r}.")
    return f"{name[0]} " + ", ".join(f"{key}={json.dumps(value)}" for key, value in name[1].items())


def _build(plan: ComparisonPlan, name: str, seed: int) -> nn.Module:
    parser = ConfigParser({**deepcopy(plan.train), "attention": plan.attention[name]})
    parser.update({"dataset_dir": str(plan.dataset_dir)})
    torch.manual_seed(seed)
    try:
        return parser.get_parsed_content("network_def")
    except Exception as error:
        raise ExperimentError(f"the network with attention {name!r} cannot be built: {root_cause(error)}") from error
