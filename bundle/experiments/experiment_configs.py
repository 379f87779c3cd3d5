"""Configs of an experiment: loading, overrides, and what is set in all of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.data.datalist_file import DatalistError
from bundle.data.dataset_names import DatasetNames

from .experiment_options import ExperimentError, check_counts


def load_configs(option: str, files: Sequence[str | Path], ids: Sequence[str], kind: str) -> dict[str, Any]:
    """Load a config and its overlays.

    Args:
        option: option that names the files, for messages.
        files: config, and overlays.
        ids: what the config has to have.
        kind: what the experiment is called in messages.

    Raises:
        ExperimentError: when a file or an id is missing.
    """
    for file in files:
        if not Path(file).is_file():
            raise ExperimentError(f"{option} {file} does not exist.")
    content = ConfigParser.load_config_files([str(file) for file in files])
    missing = [name for name in ids if name not in ConfigParser(content)]
    if missing:
        raise ExperimentError(f"{option} {files[0]} has no {', '.join(missing)}, which the {kind} needs.")
    return content


def datalist_of(train: Mapping[str, Any], datalist: str | Path | None) -> str | Path | None:
    """Return the datalist of an experiment: the option, or else that of the config, as where an overlay is a plan."""
    named = train.get("datalist")
    return named if datalist is None and isinstance(named, str) and named[:1] not in "$@%" else datalist


def override_configs(
    configs: Sequence[dict[str, Any]],
    pairs: Mapping[str, Any],
    *,
    reserved: Collection[str],
    files: Sequence[str],
    kind: str,
) -> None:
    """Set each pair in the configs that have its id.

    Args:
        configs: contents of configs, which are changed.
        pairs: values by id.
        reserved: ids that the experiment sets.
        files: names of the files of the configs, for messages.
        kind: what the experiment is called in messages.

    Raises:
        ExperimentError: when an id is reserved, or no config has it.
    """
    for name, value in pairs.items():
        if re.split("#|::", name)[0] in reserved:
            raise ExperimentError(f"{name}: is set by the {kind} and cannot be overridden.")
        parsers = [parser for parser in map(ConfigParser, configs) if _has_id(parser, name)]
        if not parsers:
            close = difflib.get_close_matches(name, [key for config in configs for key in config], n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise ExperimentError(f"{name}: is neither an option nor an id of {' or '.join(files)}{hint}")
        for parser in parsers:
            parser[name] = deepcopy(value)


def resolved(config: Mapping[str, Any], name: str, **values: Any) -> Any:
    """Return the content of an id of a config, with ``values`` instead of those of the config.

    Raises:
        ExperimentError: when it cannot be resolved; the message is that of the error at the root.
    """
    parser = ConfigParser(deepcopy(dict(config)))
    parser.update(values)
    try:
        return parser.get_parsed_content(name)
    except Exception as error:
        raise ExperimentError(f"{name}: {_message(error)}") from error


NAMES = ("label_names", "label_values", "ignore_label")
"""What names structures."""


def carry_over(train: Mapping[str, Any], config: dict[str, Any], ids: Sequence[str]) -> None:
    """Set ids of a config to their values in the train config, where both have them."""
    config.update({name: deepcopy(train[name]) for name in ids if name in train and name in config})


def use_dataset_names(
    train: dict[str, Any], others: Sequence[dict[str, Any]], data: Mapping[str, Any], overrides: Mapping[str, Any]
) -> None:
    """Set the names of the structures of a dataset in configs, as the first step of a training does.

    Args:
        train: content of the train config.
        others: contents of the configs that take the names from it.
        data: ``dataset_dir`` and ``datalist``.
        overrides: values that the user has set.

    Raises:
        DatalistError: when the config has other names than the dataset.
    """
    start = next((step for step in train.get("initialize", ()) if isinstance(step, dict)), {})
    if "names" not in start:
        return
    before, parser = train["label_names"], ConfigParser(train)
    DatasetNames(**data, default=start["names"].get("default")).use(parser, overrides)
    train.update(parser.get())
    if train["label_names"] != before:
        for content in others:
            carry_over(train, content, NAMES)


def score_in_single_precision(evaluation: dict[str, Any]) -> None:
    """Set the plan of an evaluation to float32: the machine's plan is timed and may differ from run to run."""
    evaluation.update(dict.fromkeys({"plan"} & evaluation.keys(), "fp32"))


def set_epochs(train: dict[str, Any], epochs: int | None, **values: Any) -> None:
    """Set the epochs of a train config, and no validation of the held-out fold before the end.

    Args:
        train: content of the train config.
        epochs: number of epochs; None for that of the config.
        values: values of ids that the epochs of the config may depend on.

    Raises:
        ExperimentError: when the number is not a positive integer.
    """
    epochs = resolved(train, "epochs", **values) if epochs is None else epochs
    check_counts(epochs=epochs)
    train.update({"epochs": epochs, "val_interval": epochs + 1})
    train.update(dict.fromkeys({"early_stop"} & train.keys()))


def root_cause(error: BaseException) -> BaseException:
    """Return the error at the root of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _message(error: BaseException) -> str:
    """Return the message about a dataset, or else the message of the root of a chain of errors."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DatalistError):
        cause = cause.__cause__
    return str(cause or root_cause(error))


def _has_id(parser: ConfigParser, name: str) -> bool:
    """Return whether a config has an id, or the component that it would be an argument of."""
    section = parser.get(re.sub("(#|::)[^#:]+$", "", name))
    return name in parser or (isinstance(section, dict) and "_target_" in section)
