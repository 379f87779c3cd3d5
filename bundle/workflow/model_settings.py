"""Use of the settings of a model folder in a workflow."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.utils.errors import BundleError

from .model_folder import ModelFolder

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"


class ModelSettingsError(BundleError):
    """Options that do not agree with a model folder; the message names both values."""


def use_model(
    parser: ConfigParser, model: ModelFolder, options: Mapping[str, Any] | None = None, *, weights: bool = True
) -> None:
    """Set the settings of a model folder in a config.

    Args:
        parser: parser of the config, which is changed and parsed again.
        model: the model folder.
        options: what the user has set in the config, by id.
        weights: also use the weights; False for trainings by the settings alone.

    Raises:
        ModelSettingsError: if a setting of the model was set to another value.
    """
    options = dict(options or {})
    found = list(_mismatches(parser, model, options))
    if found:
        raise ModelSettingsError(
            f"model {model.folder} was trained with other settings: {'; '.join(found)}. Leave these options out, or "
            "train a model with them."
        )
    given = {_root(name) for name in options}
    free = {**model.defaults, **model.paths}
    if not weights:
        given.add(CHECKPOINT)
    changes = {**{name: value for name, value in free.items() if name not in given}, **model.settings}
    content = parser.get()
    replaced = sorted(name for name in model.settings if name in content and content[name] != model.settings[name])
    content.update(deepcopy(changes))
    parser.parse(reset=True)
    logger.info("settings of %s: %s", model.folder, ", ".join(replaced) or "those of the config")


def _mismatches(parser: ConfigParser, model: ModelFolder, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a description of every option that differs from the model."""
    trained = ConfigParser(deepcopy(dict(model.settings)))
    for name, value in options.items():
        if _root(name) == CHECKPOINT and not _is_same_file(value, model.weights):
            yield f"--checkpoint is {value} here and {model.weights} there"
        if _root(name) in model.settings:
            given, wanted = _value(parser, name), _value(trained, name)
            if _as_json(given) != _as_json(wanted):
                yield f"{name.replace('::', '#')} is {_as_json(wanted)} there and {_as_json(given)} here"


def _value(parser: ConfigParser, name: str) -> Any:
    """Return the content of an id: of a reference or an expression, its value; None if there is none."""
    if name not in parser:
        return None
    raw = parser[name]
    is_expression = isinstance(raw, str) and raw.startswith(("@", "$"))
    return parser.get_parsed_content(name) if is_expression else raw


def _as_json(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)


def _is_same_file(path: Any, weights: Path) -> bool:
    return isinstance(path, str | Path) and Path(path).is_file() and Path(path).samefile(weights)


def _root(name: str) -> str:
    return re.split("#|::", name)[0]
