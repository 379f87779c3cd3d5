"""Validation of options that are one of a few names."""

from __future__ import annotations

from collections.abc import Iterable


def check_choice(option: str, value: object, choices: Iterable[object]) -> None:
    """Check that the value of an option is one of its choices.

    Args:
        option: name of the option, for the message.
        value: value that was given.
        choices: values that are allowed.

    Raises:
        ValueError: when the value is none of them.
    """
    allowed = list(choices)
    if value not in allowed:
        raise ValueError(f"{option} must be one of {', '.join(map(str, allowed))}, got {value!r}.")
