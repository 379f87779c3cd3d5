"""The protocol that a dataset is trained by, of those that its overlay describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .datalist_file import DatalistError


def choose_protocol(name: str, protocols: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of a protocol.

    Args:
        name: ``"published"``, as the original project did it, or ``"sound"``.
        protocols: settings by the name of the protocol; all have the same ones.

    Raises:
        DatalistError: when the dataset has no such protocol.
    """
    if name not in protocols:
        raise DatalistError(f"protocol must be one of {', '.join(protocols)} for this dataset, got {name!r}.")
    return dict(protocols[name])
