"""Functions of version 0.1 that configs may still name and that have no successor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def choose_protocol(name: str, protocols: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of a protocol, for overlays that hold several; those of today hold one each."""
    return dict(protocols[name])
