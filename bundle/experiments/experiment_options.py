"""Options that all experiments share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fire.parser import DefaultParseValue

from bundle.utils.errors import BundleError


class ExperimentError(BundleError):
    """An experiment that cannot be run; the message names the option and what to do."""


def parse_files(text: str) -> list[str]:
    """Read the name of a config file, or a list of names as ``python -m monai.bundle run`` takes it."""
    found = parse_value(text)
    return found if isinstance(found, list) else [text]


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Read ``--id value`` and ``--id=value``.

    Raises:
        ExperimentError: when a word is not an option or an option has no value.
    """
    pairs, rest = {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise ExperimentError(f"{word!r} is neither an option nor the value of one; overrides are --id value.")
        name, equals, value = word[2:].partition("=")
        if not equals and not rest:
            raise ExperimentError(f"--{name} has no value; overrides are --id value.")
        pairs[name] = parse_value(value if equals else rest.pop(0))
    return pairs


def parse_value(text: str) -> Any:
    """Read a value as JSON, or else as ``python -m monai.bundle run`` reads it."""
    try:
        return json.loads(text)
    except ValueError:
        return DefaultParseValue(text)


def check_counts(**counts: Any) -> None:
    """Check that options are positive integers, or None.

    Raises:
        ExperimentError: when one is not.
    """
    for name, value in counts.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ExperimentError(f"{name} must be an integer, 1 or more, got {value!r}.")
