"""Reading of values of requests, with an error of status 400 or 404 for what cannot be meant."""

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
    """Return a number of a request; digits in a text, as forms send them, are a number too.

    Args:
        request: the request.
        name: its key.
        default: value where the request has none.
        low: smallest value.
        below: number that the value must be below.

    Raises:
        RequestError: 400 when it is no number or out of range.
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


def read_count(request: Mapping[str, Any], name: str, default: int, *, low: int = 1) -> int:
    """Return a whole number of a request.

    Raises:
        RequestError: 400 when it is none or too small.
    """
    number = read_number(request, name, default, low=low)
    if number != round(number):
        raise RequestError(400, f"{name} must be a whole number, got {request[name]!r}.")
    return int(number)


def read_switch(request: Mapping[str, Any], name: str, default: bool) -> bool:
    """Return a truth value of a request.

    Raises:
        RequestError: 400 when it is neither true nor false.
    """
    try:
        return parse_bool(name, request.get(name, default))
    except ValueError as error:
        raise RequestError(400, str(error)) from error


def read_device(request: Mapping[str, Any]) -> str:
    """Return the device of PyTorch that a request asks for; a GPU that is not there is the CPU, as in MONAI Label.

    Raises:
        RequestError: 400, when there is no such device.
    """
    asked = request.get("device")
    if isinstance(asked, list | tuple):
        asked = asked[0] if asked else None
    device = str(name_to_device(str(asked) if asked else None))
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", device):
        raise RequestError(400, f"device must be one of {', '.join(device_list())}, got {asked!r}.")
    return device


def find_task(request: Mapping[str, Any], tasks: Mapping[str, LabelTask]) -> LabelTask:
    """Return the task that a request names as ``"model"``, or else the first one.

    Raises:
        RequestError: 404 when there is no such task.
    """
    name = str(request.get("model") or next(iter(tasks), ""))
    if name not in tasks:
        raise RequestError(404, f"there is no model {name!r} for this; there are: {', '.join(tasks) or 'none'}.")
    return tasks[name]
