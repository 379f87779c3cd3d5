"""Configs of an experiment: loading, and overrides that must be known to one of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle.data.datalist_file import DatalistError

from .experiment_options import ExperimentError


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


def override_configs(
    configs: Sequence[dict[str, Any]],
    pairs: Mapping[str, Any],
    *,
    own: Collection[str],
    files: Sequence[str],
    kind: str,
) -> None:
    """Set each pair in the configs that know its id.

    Args:
        configs: contents of configs, which are changed.
        pairs: values by id.
        own: ids that the experiment sets itself.
        files: names of the files of the configs, for messages.
        kind: what the experiment is called in messages.

    Raises:
        ExperimentError: when an id is one of ``own``, or no config knows it.
    """
    for name, value in pairs.items():
        if re.split("#|::", name)[0] in own:
            raise ExperimentError(f"{name}: is set by the {kind} and cannot be overridden.")
        parsers = [parser for parser in map(ConfigParser, configs) if _knows(parser, name)]
        if not parsers:
            close = difflib.get_close_matches(name, [key for config in configs for key in config], n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            raise ExperimentError(f"{name}: is neither an option nor an id of {' or '.join(files)}{hint}")
        for parser in parsers:
            parser[name] = deepcopy(value)


def resolved(config: Mapping[str, Any], name: str, **values: Any) -> Any:
    """Return what an id of a config comes to, with ``values`` in the place of those of the config.

    Raises:
        ExperimentError: when it cannot be made; the message is that of the error at the root.
    """
    parser = ConfigParser(deepcopy(dict(config)))
    parser.update(values)
    try:
        return parser.get_parsed_content(name)
    except Exception as error:
        raise ExperimentError(f"{name}: {_told(error)}") from error


def root_cause(error: BaseException) -> BaseException:
    """Return the error at the root of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _told(error: BaseException) -> str:
    """Return the message about a dataset, or else that of the root of a chain of errors."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DatalistError):
        cause = cause.__cause__
    return str(cause or root_cause(error))


def _knows(parser: ConfigParser, name: str) -> bool:
    """Tell whether a config has an id, or the component that it would be an argument of."""
    section = parser.get(re.sub("(#|::)[^#:]+$", "", name))
    return name in parser or (isinstance(section, dict) and "_target_" in section)
