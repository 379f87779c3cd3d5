"""A transform that takes its time, so that a worker can be stopped while it computes a case."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from typing import Any


class Waitd:
    """Wait.

    Args:
        seconds: how long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case, later."""
        time.sleep(self.seconds)
        return dict(data)
