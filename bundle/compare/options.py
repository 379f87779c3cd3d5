"""Reading of the options of ``python -m bundle compare``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fire.parser import DefaultParseValue

from ..attention import AttentionSpec

REFERENCE = "none"
"""The network without attention, which all others are compared with."""


class CompareError(ValueError):
    """A comparison that cannot be made; the message names the option and says what to do."""


def parse_attention(text: str) -> list[AttentionSpec]:
    """Read ``--attention``: names with commas between them, or a JSON list of names and ``[name, {options}]`` pairs.

    Raises:
        CompareError: when the text is neither.
    """
    if not text.lstrip().startswith("["):
        names: list[Any] = [name.strip() for name in text.split(",")]
    else:
        try:
            names = json.loads(text)
        except ValueError as error:
            raise CompareError(f"attention {text!r} is no JSON list ({error}).") from error
        if len(names) == 2 and isinstance(names[1], dict):
            names = [names]
    return [None if name == REFERENCE else name for name in names]


def parse_files(text: str) -> list[str]:
    """Read the name of a config file, or a list of names as ``python -m monai.bundle run`` takes it."""
    found = parse_value(text)
    return found if isinstance(found, list) else [text]


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Read ``--id value`` and ``--id=value``.

    Raises:
        CompareError: when a word is no option or an option has no value.
    """
    pairs, rest = {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise CompareError(f"{word!r} is neither an option nor the value of one; overrides are --id value.")
        name, equals, value = word[2:].partition("=")
        if not equals and not rest:
            raise CompareError(f"--{name} has no value; overrides are --id value.")
        pairs[name] = parse_value(value if equals else rest.pop(0))
    return pairs


def parse_value(text: str) -> Any:
    """Read a value as JSON, or else as ``python -m monai.bundle run`` reads it."""
    try:
        return json.loads(text)
    except ValueError:
        return DefaultParseValue(text)
