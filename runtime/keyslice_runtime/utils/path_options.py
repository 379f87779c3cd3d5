"""Paths on the command line of ``monai.bundle``, which takes some texts for numbers, comments or separators of ids.

Python Fire reads ``2026_11_28`` as a number and cuts off what follows a ``#``; MONAI turns other ``#`` into ``::``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

COMMAND = ("monai", "bundle", "__main__.py")
"""The file of the command, as ``sys.argv[0]`` ends."""

EXPRESSIONS = ("@", "$", "%")
"""How values begin that MONAI evaluates."""


def check_path_options(**paths: Any) -> None:
    """Check that paths are those that the user named.

    Args:
        paths: values by the name of the option; None for a path that is not set.

    Raises:
        ValueError: when one is not text, or not the text on the command line.
    """
    for name, value in paths.items():
        if value is None:
            continue
        given = _on_command_line(name, sys.argv)
        if isinstance(value, str | Path) and given in (None, str(value)) and not _has_separator(str(value)):
            continue
        shown = str(value).replace("::", "#") if given is None else given
        raise ValueError(
            f"{name}: {shown!r} reaches the workflow as {value if isinstance(value, str) else str(value)!r}, since "
            f"monai.bundle reads numbers and '#' in its options. {_remedy(name, shown)}"
        )


def is_command() -> bool:
    """Return whether this process is the command ``python -m monai.bundle``."""
    return Path(sys.argv[0]).parts[-3:] == COMMAND


def _has_separator(path: str) -> bool:
    return "::" in path and not Path(path).exists()


def _on_command_line(name: str, arguments: Sequence[str]) -> str | None:
    """Return the text of an option of ``monai.bundle``; None where it is not given or is an expression."""
    if not is_command():
        return None
    found = [value for option, value in pairwise(arguments) if _option(option) == name]
    found += [argument.partition("=")[2] for argument in arguments if _option(argument.partition("=")[0]) == name]
    found = [value for value in found if value]
    if not found or found[-1].startswith(EXPRESSIONS):
        return None
    return _unquoted(found[-1])


def _option(argument: str) -> str:
    """Return the name of an option, which may be written with ``-`` or ``_``."""
    return argument.lstrip("-").replace("-", "_") if argument.startswith("-") else ""


def _unquoted(text: str) -> str:
    """Return the text in the quotes of a Python string, or the text as it is where it is no such string."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, str) else text


def _remedy(name: str, given: str) -> str:
    if "#" in given:
        return "Use a path without '#', or run the command in the folder whose name has it and pass a relative path."
    return f"Pass --{name} ./{given}, or quote it twice: --{name} \"'{given}'\"."
