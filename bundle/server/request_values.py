"""Reading of values in requests."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from monailabel.utils.others.generic import device_list, name_to_device

from bundle.utils.parse_bool import parse_bool

from .label_tasks import LabelTask
from .server_errors import RequestError


def read_number(request: Mapping[str, Any], name: str, default: float, *, low: float, below: float = math.inf) -> float:
    """Return a number in a request, also from text, which forms send.

    Args:
        request: the request.
        name: its key.
        default: value if the request has none.
        low: smallest allowed value.
        below: upper limit, exclusive.

    Raises:
        RequestError: 400, if it is not a number or out of range.
    """
    value = request.get(name, default)
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number < below:
        limit = f"{low:g} or more" + (f" and below {below:g}" if below < math.inf else "")
        raise RequestError(400, f"{name} must be a number, {limit}, got {value!r}.")
    return number


def read_int(request: Mapping[str, Any], name: str, default: int, *, low: int = 1) -> int:
    """Return an integer in a request.

    Raises:
        RequestError: 400, if it is not an integer or too small.
    """
    number = read_number(request, name, default, low=low)
    if number != round(number):
        raise RequestError(400, f"{name} must be an integer, got {request[name]!r}.")
    return int(number)


def read_bool(request: Mapping[str, Any], name: str, default: bool) -> bool:
    """Return a boolean in a request, also from text.

    Raises:
        RequestError: 400, if it is neither true nor false.
    """
    try:
        return parse_bool(name, request.get(name, default))
    except ValueError as error:
        raise RequestError(400, str(error)) from error


def read_device(request: Mapping[str, Any]) -> str:
    """Return the PyTorch device of a request; the CPU if its GPU does not exist, as in MONAI Label.

    Raises:
        RequestError: 400, if the device is unknown.
    """
    requested = request.get("device")
    if isinstance(requested, list | tuple):
        requested = requested[0] if requested else None
    device = str(name_to_device(str(requested) if requested else None))
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", device):
        raise RequestError(400, f"device must be one of {', '.join(device_list())}, got {requested!r}.")
    return device


def find_task(request: Mapping[str, Any], tasks: Mapping[str, LabelTask]) -> LabelTask:
    """Return the task named ``"model"`` in a request, by default the first one.

    Raises:
        RequestError: 404, if there is no such task.
    """
    name = str(request.get("model") or next(iter(tasks), ""))
    if name not in tasks:
        raise RequestError(404, f"unknown model {name!r}; available: {', '.join(tasks) or 'none'}.")
    return tasks[name]
