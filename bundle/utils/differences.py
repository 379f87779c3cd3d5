"""Differences of nested plain values, by the ids that configs have for their parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(found: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the id of everything that differs between two contents, and both values; None stands for no value.

    Lists of plain values count as one value.

    Args:
        found: one content.
        wanted: the other one.
        name: id of both.

    Examples:
        >>> list(differences({"net": {"channels": [4, 8], "act": "relu"}}, {"net": {"channels": [4], "act": "relu"}}))
        [('net#channels', [4, 8], [4])]
    """
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        pairs = [(key, found.get(key), wanted.get(key)) for key in sorted({*found, *wanted})]
    elif _has_parts(found) and _has_parts(wanted) and len(found) == len(wanted):
        pairs = [(place, *pair) for place, pair in enumerate(zip(found, wanted, strict=True))]
    else:
        if found != wanted:
            yield name, found, wanted
        return
    for key, one, other in pairs:
        yield from differences(one, other, f"{name}#{key}" if name else str(key))


def _has_parts(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value)
