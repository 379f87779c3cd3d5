"""A transform that ends its process for a case."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np


class Killd:
    """End the process by SIGKILL, or take memory until it is ended, when the name of the case has the word."""

    def __init__(self, word: str, *, gigabytes: float = 0.0) -> None:
        self.word, self.gigabytes = word, gigabytes

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.word not in data["case"]:
            return data
        if not self.gigabytes:
            os.kill(os.getpid(), signal.SIGKILL)
        taken = np.ones(int(self.gigabytes * 2**27))
        time.sleep(60)
        raise MemoryError(len(taken))
