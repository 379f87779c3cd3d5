"""Description of settings as plain values, so that two runs can be compared."""

from __future__ import annotations

import functools
import hashlib
import json
import types
import uuid
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch


def describe(value: Any, *, lambdas: str | None = None, inside: frozenset[int] = frozenset()) -> Any:
    """Describe a value by JSON: an object by its class and public attributes, a network by those of its modules.

    MONAI's ``ConfigParser`` (1.6.1) gives components objects, not the text they are made from, so the settings of a
    config are described from its objects. Arrays count by their content, functions by their names and an optimizer by
    its options. A lambda has no name to know it by.

    Args:
        value: value to describe.
        lambdas: description of every lambda; None for one that is different each time.
        inside: ids of the objects around it, which are not described again.

    Examples:
        >>> from monai.transforms import ScaleIntensityd
        >>> describe({"a": [1, 2.0, None]})
        {'a': [1, 2.0, None]}
        >>> describe(ScaleIntensityd("image", 0, 1)) == describe(ScaleIntensityd("image", 0, 2))
        False
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path | torch.device | torch.dtype | np.dtype):
        return str(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return _name_of(value, lambdas)
    return describe(type(value)) if id(value) in inside else _describe_parts(value, lambdas, inside | {id(value)})


def _name_of(value: Any, lambdas: str | None) -> str:
    if value.__name__ == "<lambda>":
        return uuid.uuid4().hex if lambdas is None else lambdas
    return f"{value.__module__}.{value.__qualname__}"


def _describe_parts(value: Any, lambdas: str | None, inside: frozenset[int]) -> Any:
    further = functools.partial(describe, lambdas=lambdas, inside=inside)
    if isinstance(value, Mapping):
        return {str(key): further(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [further(item) for item in value]
    if isinstance(value, Set):
        return sorted(json.dumps(further(item)) for item in value)
    if isinstance(value, functools.partial):
        return [further(item) for item in (value.func, value.args, value.keywords)]
    if isinstance(value, torch.nn.Module):
        return {name: [further(type(module)), _options(module)] for name, module in value.named_modules()}
    if isinstance(value, torch.optim.Optimizer):
        return {"class": further(type(value)), **further(value.defaults)}
    return [further(type(value)), {name: further(item) for name, item in _public(value).items()}]


def _public(value: Any) -> dict[str, Any]:
    return {name: item for name, item in sorted(getattr(value, "__dict__", {}).items()) if not name.startswith("_")}


def _options(module: torch.nn.Module) -> dict[str, Any]:
    """Return the plain attributes of a module, and sequences of them, except whether it is in training."""
    plain = (bool, int, float, str, type(None), list, tuple)
    return {
        name: describe(item) for name, item in _public(module).items() if isinstance(item, plain) and name != "training"
    }
