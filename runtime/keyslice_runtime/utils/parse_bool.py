"""Options that are on or off, as they come from a config or, as text, from a command line."""

from __future__ import annotations


def parse_bool(name: str, value: bool | int | str, *, auto: bool | None = None) -> bool:
    """Return a Boolean; the texts ``true``, ``false``, ``1`` and ``0``, in any case, are understood.

    MONAI hands ``--amp false`` on as the text ``"false"``, which is true to Python.

    Args:
        name: what the option is called, for the error.
        value: value of the option.
        auto: what the text ``auto`` stands for; None where it is invalid.

    Raises:
        ValueError: when the value is none of these.
    """
    known = {"true": True, "1": True, "false": False, "0": False}
    if auto is not None:
        known["auto"] = auto
    if str(value).lower() not in known:
        raise ValueError(f"{name} must be {'auto, ' if auto is not None else ''}true or false, got {value!r}.")
    return known[str(value).lower()]
