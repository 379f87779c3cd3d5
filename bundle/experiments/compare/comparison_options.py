"""Options of ``python -m bundle compare``."""

from __future__ import annotations

import json
from typing import Any

from bundle.attention.attention_factory import AttentionSpec
from bundle.experiments.experiment_options import ExperimentError

REFERENCE = "none"
"""The network without attention, which all others are compared with."""


def parse_attention(text: str) -> list[AttentionSpec]:
    """Read ``--attention``: names with commas between them, or a JSON list of names and ``[name, {options}]`` pairs.

    Raises:
        ExperimentError: when the text is neither.
    """
    if not text.lstrip().startswith("["):
        names: list[Any] = [name.strip() for name in text.split(",")]
    else:
        try:
            names = json.loads(text)
        except ValueError as error:
            raise ExperimentError(f"attention {text!r} is not a JSON list ({error}).") from error
        if len(names) == 2 and isinstance(names[1], dict):
            names = [names]
    return [None if name == REFERENCE else name for name in names]
