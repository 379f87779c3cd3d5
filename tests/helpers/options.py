"""Options of constructors, of which some are grouped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def with_options(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with changes, whose names are ``option`` or, as in a config, ``group#option``."""
    changed = dict(options)
    for name, value in changes.items():
        group, _, option = name.partition("#")
        changed[group] = {**changed.get(group, {}), option: value} if option else value
    return changed


def known_options(config_file: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options whose id a config has; a workflow refuses others."""
    ids = json.loads(Path(config_file).read_text(encoding="utf-8"))
    return {name: value for name, value in options.items() if name.partition("#")[0] in ids}
