"""Parts of a config as plain values that need neither the rest of the config nor the data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import ID_SEP_KEY

REFERENCE = re.compile(r"@(\w+)")
PLAIN = (str, int, float, type(None))


def freeze_ids(parser: ConfigParser, ids: Iterable[str]) -> dict[str, Any]:
    """Return the content of ids of a config, without references to others.

    References among the ids are kept. Any other is replaced by its value or, if that is a component, by its definition;
    a function whose result is plain, such as one that reads the classes from a dataset, by its result.

    Args:
        parser: parser of the config.
        ids: ids at its top level; those that it does not have are skipped.

    Examples:
        >>> config = {"width": 4, "size": "@width", "net": {"channels": "$[@size, 2 * @other]"}, "other": 3}
        >>> parser = ConfigParser(config)
        >>> freeze_ids(parser, ["size", "net"])
        {'size': 4, 'net': {'channels': [4, 6]}}
    """
    kept = [name for name in ids if name in parser.get()]
    return {name: _freeze(parser, name, kept) for name in kept}


def is_plain(value: Any) -> bool:
    """Return whether a value can be written as JSON."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    return all(map(is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, PLAIN)


def _freeze(parser: ConfigParser, place: str, kept: Collection[str]) -> Any:
    raw = parser[place]
    if isinstance(raw, str) and raw.startswith(("@", "$")):
        return _freeze_text(parser, place, raw, kept)
    if isinstance(raw, dict) and "_target_" in raw:
        value = parser.get_parsed_content(place)
        if is_plain(value):
            return value
    if isinstance(raw, dict):
        return {name: _freeze(parser, f"{place}{ID_SEP_KEY}{name}", kept) for name in raw}
    if isinstance(raw, list):
        return [_freeze(parser, f"{place}{ID_SEP_KEY}{number}", kept) for number in range(len(raw))]
    return raw


def _freeze_text(parser: ConfigParser, place: str, text: str, kept: Collection[str]) -> Any:
    names = REFERENCE.findall(text)
    if names and set(names) <= set(kept):
        return text
    value = parser.get_parsed_content(place)
    if is_plain(value):
        return value
    is_reference = text.startswith("@")
    return _freeze(parser, text.removeprefix("@"), kept) if is_reference else text
