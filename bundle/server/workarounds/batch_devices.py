"""monailabel 0.8.5: inference of a batch divides by the number of GPUs, and fails on a machine without any.

``ZeroDivisionError: integer modulo by zero`` in ``BatchInferTask.__call__``, unless the client asks for
``"multi_gpu": false``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def with_devices(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request for a batch that this machine can carry out: without GPUs, not on several of them."""
    return {**request, **({} if torch.cuda.device_count() else {"multi_gpu": False, "device": "cpu"})}
