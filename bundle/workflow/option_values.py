"""Refusal of words where a workflow expects a number, a Boolean or a dictionary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import ConfigParser

from bundle.utils.errors import BundleError
from bundle.utils.path_options import EXPRESSIONS

ANYWHERE = ("null", "none", "auto")
"""Words that may replace any value."""

NUMBER, SWITCH, TABLE = "a number", "true or false", "a dictionary"
WORDS = {NUMBER: (*ANYWHERE, "all"), SWITCH: (*ANYWHERE, "true", "false", "0", "1"), TABLE: ANYWHERE}
"""Words that may stand for a number, a Boolean or a dictionary."""


OR_FILES = ("pretrained",)
"""Options that are true, false or a file."""


class OptionValueError(BundleError):
    """An option with a word where a number, a Boolean or a dictionary is expected."""


def check_option_values(options: Mapping[str, Any], config_files: Sequence[str]) -> None:
    """Check the options whose values in the configs are numbers, Booleans or dictionaries.

    Otherwise a misspelt number would only be found by the first step that counts with it, and any word would count as
    true.

    Args:
        options: values by config id, as they were given.
        config_files: the config and its overlays.

    Raises:
        OptionValueError: if a value is a word of another kind.
    """
    defaults = {name: value for file in config_files for name, value in ConfigParser.load_config_file(file).items()}
    for name, value in options.items():
        default = defaults.get(name)
        kind = None if name in OR_FILES else _expected(default)
        if kind is None or not isinstance(value, str) or value.startswith(EXPRESSIONS) or value.lower() in WORDS[kind]:
            continue
        if kind != NUMBER or not _is_number(value):
            raise OptionValueError(
                f"--{name} must be {kind}, got {value!r}; in the config it is {json.dumps(default)}."
            )


def _expected(default: Any) -> str | None:
    """Return what an option must be by its value in the config; None for anything."""
    if isinstance(default, bool):
        return SWITCH
    if isinstance(default, int | float):
        return NUMBER
    return TABLE if isinstance(default, dict) and "_target_" not in default else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
