"""Refusal of words where a workflow expects a number, or true or false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import ConfigParser

from bundle.utils.errors import BundleError
from bundle.utils.path_options import EXPRESSIONS

ANYWHERE = ("null", "none", "auto")
"""Words that may replace any value."""

NUMBER_WORDS = (*ANYWHERE, "all")
SWITCH_WORDS = (*ANYWHERE, "true", "false", "0", "1")


class OptionValueError(BundleError):
    """An option with a word where a number, or true or false, is expected."""


def check_option_values(options: Mapping[str, Any], config_files: Sequence[str]) -> None:
    """Check the options whose values in the configs are numbers or Booleans.

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
        if not isinstance(value, str) or value.startswith(EXPRESSIONS) or not isinstance(default, int | float):
            continue
        is_switch = isinstance(default, bool)
        if value.lower() in (SWITCH_WORDS if is_switch else NUMBER_WORDS) or (not is_switch and _is_number(value)):
            continue
        kind = "true or false" if is_switch else "a number"
        raise OptionValueError(f"--{name} must be {kind}, got {value!r}; in the config it is {str(default).lower()}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
