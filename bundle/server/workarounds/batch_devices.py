"""monailabel 0.8.5: batch inference divides by the number of GPUs, and fails on a machine without any.

``ZeroDivisionError: integer modulo by zero`` in ``BatchInferTask.__call__``, unless the request contains
``"multi_gpu": false``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def choose_devices(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch request with the CPU as device if this machine has no GPU."""
    return {**request, **({} if torch.cuda.device_count() else {"multi_gpu": False, "device": "cpu"})}
