"""What users can set in the panel of their client, and how a request sets it.

Which options a task has is read off the ids of its ``inference.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundle.utils.parse_bool import parse_bool

from .label_tasks import LabelTask
from .server_errors import RequestError

LARGEST, MIRROR, OVERLAP, THRESHOLD = "largest_component", "mirror", "overlap", "threshold"

SAVE_LABELS = "bundle.inference.SaveSegmentationd"
"""The transform that writes label maps; the largest components are found before it."""


def panel_of(task: LabelTask) -> dict[str, Any]:
    """Return the options of a task with their defaults, as MONAI Label hands them to clients.

    - ``overlap``: share by which windows overlap
    - ``threshold``: probability above which a pixel belongs to the structure
    - ``mirror``: average over the mirrored images too (test-time augmentation)
    - ``largest_component``: keep the largest connected component of every structure
    """
    config = task.config
    found: dict[str, Any] = {name: config[name] for name in (OVERLAP, THRESHOLD) if name in config}
    if "mirror_axes" in config:
        found[MIRROR] = bool(config["mirror_axes"])
    if "single_region" in config or SAVE_LABELS in _targets(config):
        found[LARGEST] = bool(config.get("single_region", False))
    return found


def overrides_of(task: LabelTask, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request changes in ``inference.json``, by config id.

    Only the options of :func:`panel_of` are looked at; a client may send more.

    Raises:
        RequestError: 400, when a value cannot be used.
    """
    known = panel_of(task)
    asked = {name: request[name] for name in known if request.get(name) is not None}
    changes: dict[str, Any] = {name: share(name, asked[name]) for name in (OVERLAP, THRESHOLD) if name in asked}
    if MIRROR in asked and on(MIRROR, asked[MIRROR]) != known[MIRROR]:
        changes["mirror_axes"] = [] if known[MIRROR] else list(range(len(task.config["roi_size"])))
    if LARGEST in asked and on(LARGEST, asked[LARGEST]) != known[LARGEST]:
        changes.update(_largest(task, not known[LARGEST]))
    return changes


def share(name: str, value: Any) -> float:
    """Return a number in [0, 1) as a client sends it, also as text.

    Raises:
        RequestError: 400, when it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < 1:
        raise RequestError(400, f"params: {name} must be a number in [0, 1), got {value!r}.")
    return number


def on(name: str, value: Any) -> bool:
    """Return a switch as a client sends it, also as text.

    Raises:
        RequestError: 400, when it is none.
    """
    try:
        return parse_bool(name, value)
    except ValueError as error:
        raise RequestError(400, f"params: {error}") from error


def _largest(task: LabelTask, wanted: bool) -> dict[str, Any]:
    if "single_region" in task.config:
        return {"single_region": wanted}
    transforms = list(task.config["postprocessing"]["transforms"])
    step = {
        "_target_": "KeepLargestConnectedComponentd",
        "keys": "pred",
        "applied_labels": list(task.labels.values()),
        "is_onehot": False,
        "independent": True,
    }
    transforms.insert(_targets(task.config).index(SAVE_LABELS), step)
    return {"postprocessing#transforms": transforms}


def _targets(config: Mapping[str, Any]) -> list[str]:
    return [step["_target_"] for step in config["postprocessing"]["transforms"]]
