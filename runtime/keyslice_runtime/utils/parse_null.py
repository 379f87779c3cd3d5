"""Options that may be null, as they come from a config or, as text, from a command line."""

from __future__ import annotations

from typing import Any


def parse_null(value: Any) -> Any:
    """Return None for the texts ``null`` and ``none``, in any case, and any other value as it is.

    MONAI hands ``--plausible_distance null`` on as the text ``"null"``, and ignores ``--plausible_distance None``.

    Examples:
        >>> [parse_null(value) for value in ("null", None, 10.0, "auto")]
        [None, None, 10.0, 'auto']
    """
    return None if isinstance(value, str) and value.lower() in ("null", "none") else value
