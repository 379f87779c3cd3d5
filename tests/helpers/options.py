"""Options of constructors, of which some are grouped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_options(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with changes, whose names are ``option`` or, as in a config, ``group#option``."""
    changed = dict(options)
    for name, value in changes.items():
        group, _, option = name.partition("#")
        changed[group] = {**changed.get(group, {}), option: value} if option else value
    return changed
