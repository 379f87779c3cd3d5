"""Validation of the options of constructors; every message starts with the name of the option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_positive(**values: int) -> None:
    """Check that options are at least 1.

    Raises:
        ValueError: when one is less.
    """
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def check_spatial_dims(spatial_dims: int) -> None:
    """Check that the number of spatial axes is 2 or 3.

    Raises:
        ValueError: when it is another number.
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}.")


def check_level_channels(channels: Sequence[int]) -> None:
    """Check the channels of the levels of a network: two levels or more, positive numbers.

    Raises:
        ValueError: when there are fewer levels or a number is not positive.
    """
    if len(channels) < 2 or min(channels) < 1:
        raise ValueError(f"channels needs two positive widths or more, one per level, got {list(channels)}.")


def check_not_negative(**values: float) -> None:
    """Check that options are 0 or more.

    Raises:
        ValueError: when one is negative or not a number.
    """
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} must be 0 or more, got {value}.")


def check_above_zero(**values: float) -> None:
    """Check that options are above 0.

    Raises:
        ValueError: when one is 0, negative or not a number.
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}.")


def split_name(option: str, value: str | Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a component that a config names: ``"name"`` or ``("name", {options})``.

    Args:
        option: name of the option, for the error.
        value: its value.

    Raises:
        ValueError: when the value has another form.
    """
    if isinstance(value, str):
        return value, {}
    if isinstance(value, Sequence) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], Mapping):
        return value[0], dict(value[1])
    raise ValueError(f"{option} must be a name or a pair [name, {{options}}], got {value!r}.")


def fill_options(name: str, given: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group of options: the defaults, and in their place what is given.

    Args:
        name: name of the group.
        given: options to set; None for none.
        defaults: all options of the group.

    Raises:
        ValueError: when ``given`` is not a dictionary, or has an option that the group does not have.
    """
    if given is None:
        return dict(defaults)
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} must be a dictionary of options, got {given!r}.")
    unknown = [str(option) for option in given if option not in defaults]
    if unknown:
        raise ValueError(f"{name} does not have the option {unknown[0]!r}; its options are {', '.join(defaults)}.")
    return {**defaults, **given}


def check_group_positive(group: str, options: Mapping[str, Any], *names: str) -> None:
    """Check that options of a group are at least 1; the message names them as a config does, ``group#option``.

    Raises:
        ValueError: when one is less.
    """
    check_positive(**{f"{group}#{name}": options[name] for name in names})


def check_sizes_mm(**sizes: Sequence[float]) -> None:
    """Check that options are three positive sizes.

    Raises:
        ValueError: when one has not three numbers, or one that is not positive.
    """
    for name, values in sizes.items():
        is_list = isinstance(values, list | tuple) and len(values) == 3
        if not is_list or not all(isinstance(size, int | float) and size > 0 for size in values):
            raise ValueError(f"{name} must be three positive sizes in mm, got {values!r}.")
