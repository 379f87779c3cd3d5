"""What a comparison runs, checked before anything is trained, and the folder that holds one such plan."""

from __future__ import annotations

import difflib
import json
import os
import platform
import random
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from .. import ROOT, __version__
from ..attention import AttentionSpec
from ..datasets import load_datalist
from ..datasets.split import write_datalist
from .options import REFERENCE, CompareError

DATALIST = "datalist.json"

TRAIN_IDS = (
    *("dataset_dir", "datalist", "fold", "output_dir", "seed", "epochs", "val_interval", "attention"),
    *("network_def", "network", "train#trainer"),
)
EVALUATION_IDS = ("dataset_dir", "datalist", "split", "fold", "output_dir", "network")
CARRIED = ("device", "label_names", "roi_size", "pixdim", "spacing_range", "num_workers")
"""What the evaluation takes from the train config, where both name it."""

OWN = {*TRAIN_IDS, *EVALUATION_IDS, "checkpoint", "resume", "early_stop"} - {"network_def", "train#trainer"}
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
class Plan:
    """All runs of a comparison and what they have in common.

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


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    packages = {name: version(name) for name in ("torch", "monai", "numpy", "scipy")}
    return {"keyslice": __version__, "python": platform.python_version(), **packages}


def make_plan(
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
) -> Plan:
    """Check the options of a comparison and return its plan.

    Args:
        dataset_dir: folder of the dataset, see :func:`bundle.datasets.load_datalist`.
        attention: mechanisms as a config names them; None is the reference and must be among them.
        folds: number of folds that are held out in turn, the first ones where the datalist has more.
        seeds: number of trainings a fold and mechanism, with the seeds 0, 1, ...
        epochs: epochs of every training; those of the config by default.
        datalist: JSON file in MSD form; its section ``test`` is not touched. The folds of the cases are those that
            the datalist names; where it names none, they are dealt.
        split_seed: deal new folds by this seed, whatever the datalist says.
        config_file: train config, and overlays.
        evaluation_file: evaluation config, and overlays.
        overrides: values for ids of the configs.

    Raises:
        CompareError: when an option cannot be used.
        DatalistError: when the dataset cannot be used.
    """
    train = _load("config_file", config_file, TRAIN_IDS)
    evaluation = _load("evaluation_file", evaluation_file, EVALUATION_IDS)
    epochs = train["epochs"] if epochs is None else epochs
    for name, value in (("folds", folds), ("seeds", seeds), ("epochs", epochs)):
        if not isinstance(value, int) or value < 1:
            raise CompareError(f"{name} must be a whole number, 1 or more, got {value!r}.")
    for name in (name for name in CARRIED if name in train and name in evaluation):
        evaluation[name] = deepcopy(train[name])
    # The machine's plan is timed and may differ from mechanism to mechanism, so all are scored in one precision.
    evaluation.update(dict.fromkeys({"plan"} & evaluation.keys(), "fp32"))
    _override(train, evaluation, overrides or {}, [str(file) for file in (*config_file, *evaluation_file)])
    train.update({"epochs": epochs, "val_interval": epochs + 1})
    if "early_stop" in train:
        train["early_stop"] = None
    cases = _deal(dataset_dir, datalist, folds, split_seed)
    numbers = sorted({case["fold"] for case in cases["training"]})[:folds]
    labels = _labels(attention)
    plan = Plan(Path(dataset_dir), labels, numbers, list(range(seeds)), epochs, train, evaluation, cases)
    for name in labels:
        build_network(plan, name)
    return plan


def build_network(plan: Plan, name: str, seed: int = 0) -> nn.Module:
    """Build the network with the mechanism ``name``; its other weights are those of the network without attention.

    Raises:
        CompareError: when the config or the mechanism does not build, or attention changes the other weights' shapes.
    """
    plain, network = _build(plan, REFERENCE, seed).state_dict(), _build(plan, name, seed)
    weights = network.state_dict()
    other = sorted(key for key in plain if key not in weights or weights[key].shape != plain[key].shape)
    if other:
        raise CompareError(
            f"attention {name!r} does not only add weights to the network: {', '.join(other[:3])} of the network "
            "without attention are missing or of another shape, so the two cannot start alike."
        )
    network.load_state_dict({**weights, **plain})
    return network


def open_output(plan: Plan, output: Path) -> None:
    """Make the folder of a comparison, or accept that of the same plan, to go on with it.

    Raises:
        CompareError: when the folder holds anything else.
    """
    path, content = output / "plan.json", plan.content()
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CompareError(f"{path}: is damaged ({error}); pass another --output_dir.") from error
        differing = sorted(key for key in content if content[key] != found.get(key))
        if differing:
            told = "; ".join(_tell(key, found.get(key), content[key]) for key in differing)
            raise CompareError(f"output_dir {output} holds another comparison: {told}. Pass another --output_dir.")
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CompareError(f"output_dir {output} is not empty and holds no comparison; pass another --output_dir.")
    write_datalist(plan.datalist, output / DATALIST)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _load(option: str, files: Sequence[str | Path], ids: Sequence[str]) -> dict[str, Any]:
    for file in files:
        if not Path(file).is_file():
            raise CompareError(f"{option} {file} does not exist.")
    content = ConfigParser.load_config_files([str(file) for file in files])
    missing = [name for name in ids if name not in ConfigParser(content)]
    if missing:
        raise CompareError(f"{option} {files[0]} has no {', '.join(missing)}, which the comparison needs.")
    return content


def _override(
    train: dict[str, Any], evaluation: dict[str, Any], pairs: Mapping[str, Any], files: Sequence[str]
) -> None:
    """Set each pair in the configs that know its id."""
    for name, value in pairs.items():
        if re.split("#|::", name)[0] in OWN:
            raise CompareError(f"{name}: is set by the comparison and cannot be overridden.")
        parsers = [parser for parser in (ConfigParser(train), ConfigParser(evaluation)) if _knows(parser, name)]
        if not parsers:
            close = difflib.get_close_matches(name, [*train, *evaluation], n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise CompareError(f"{name}: is neither an option nor an id of {' or '.join(files)}{hint}")
        for parser in parsers:
            parser[name] = deepcopy(value)


def _knows(parser: ConfigParser, name: str) -> bool:
    """Tell whether a config has an id, or the component that it would be an argument of."""
    section = parser.get(re.sub("(#|::)[^#:]+$", "", name))
    return name in parser or (isinstance(section, dict) and "_target_" in section)


def _deal(dataset_dir: str | Path, datalist: str | Path | None, folds: int, split_seed: int | None) -> dict[str, Any]:
    """Return the datalist of the comparison: training cases, relative to ``dataset_dir``, and their folds."""
    cases = sorted(load_datalist(dataset_dir, datalist, folds)["training"], key=lambda case: str(case["image"]))
    dealt = [case["fold"] for case in cases]
    if split_seed is not None:
        order = list(range(len(cases)))
        random.Random(split_seed).shuffle(order)
        for place, index in enumerate(order):
            dealt[index] = place % folds
    count = len(set(dealt))
    if count < 2 or folds > count:
        raise CompareError(
            f"folds must lie between 1 and the {count} folds that {datalist or dataset_dir} has, and two are needed to "
            f"hold one out, got {folds}; pass --split_seed 0 to deal the {len(cases)} cases to new folds."
        )
    training = [
        {**{key: Path(os.path.relpath(case[key], dataset_dir)).as_posix() for key in ("image", "label")}, "fold": fold}
        for case, fold in zip(cases, dealt, strict=True)
    ]
    return {"seed": split_seed, "training": training, "test": []}


def _labels(attention: Sequence[AttentionSpec]) -> dict[str, AttentionSpec]:
    labels = [_label(name) for name in attention]
    doubles = sorted({label for label in labels if labels.count(label) > 1})
    if doubles:
        raise CompareError(f"attention names {', '.join(doubles)} more than once.")
    if REFERENCE not in labels:
        raise CompareError(f"attention {', '.join(labels)} lacks {REFERENCE!r}, which all others are compared with.")
    return dict(zip(labels, attention, strict=True))


def _label(name: AttentionSpec) -> str:
    if name is None or isinstance(name, str):
        return REFERENCE if name is None else name
    if not isinstance(name, Sequence) or len(name) != 2 or not isinstance(name[1], Mapping):
        raise CompareError(f"attention must be names or pairs [name, {{options}}], got {name!r}.")
    return f"{name[0]} " + ", ".join(f"{key}={json.dumps(value)}" for key, value in name[1].items())


def _build(plan: Plan, name: str, seed: int) -> nn.Module:
    parser = ConfigParser({**deepcopy(plan.train), "attention": plan.attention[name]})
    torch.manual_seed(seed)
    try:
        return parser.get_parsed_content("network_def")
    except Exception as error:
        raise CompareError(f"the network with attention {name!r} cannot be built: {root_cause(error)}") from error


def root_cause(error: BaseException) -> BaseException:
    """Return the error at the root of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _tell(key: str, found: Any, wanted: Any) -> str:
    texts = [json.dumps(value) for value in (found, wanted)]
    if max(len(text) for text in texts) > 80:
        return f"{key} differs"
    return f"{key} is {texts[0]} there and {texts[1]} here"
