"""Mixed precision on any device, as an inferer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer

from bundle.utils.parse_bool import parse_bool


class AutocastInferer(Inferer):
    """Run another inferer under ``torch.autocast`` in bfloat16 and return floating-point results in float32.

    MONAI's engines use autocast for CUDA only; wrapping the inferer works on a CPU as well, and the loss is
    computed in float32. bfloat16 has the range of float32, so that no loss scaling is needed.

    Args:
        inferer: inferer to wrap.
        enabled: False to only call it; text such as ``"false"`` of a command line is understood.

    Raises:
        ValueError: when ``enabled`` is neither.

    Examples:
        >>> inferer = AutocastInferer(lambda inputs, network: network(inputs))
        >>> inferer(torch.ones(1, 4), torch.nn.Linear(4, 2)).dtype
        torch.float32
    """

    def __init__(self, inferer: Callable[..., Any], *, enabled: bool | str = True) -> None:
        super().__init__()
        self.inferer, self.enabled = inferer, parse_bool("enabled", enabled)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the wrapped inferer returns, a tensor or a list of tensors."""
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.enabled):
            outputs = self.inferer(inputs, network, *args, **kwargs)
        return [_as_float(output) for output in outputs] if isinstance(outputs, list | tuple) else _as_float(outputs)


def _as_float(output: torch.Tensor) -> torch.Tensor:
    return output.float() if output.dtype == torch.bfloat16 else output
