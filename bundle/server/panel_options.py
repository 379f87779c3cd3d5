"""Options that users can set in the panel of their client.

The options of a task follow from the ids of its ``inference.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .label_tasks import VOLUME, LabelTask
from .request_values import read_bool, read_number

LARGEST, MIRROR, OVERLAP, THRESHOLD = "largest_component", "mirror", "overlap", "threshold"

CONSECUTIVE = "consecutive_values"
"""Option for label maps with the values 1, 2, ... in the order of the names of a response.

The plugin of MONAI Label 0.8.5 for 3D Slicer gives segment number N the voxels of the value N. The option is on in its
panel. A request without it gets the values of the task.
"""

SAVE_LABELS = "bundle.inference.SaveSegmentationd"
"""The transform that writes label maps; the largest components are selected before it."""


def get_panel_options(task: LabelTask) -> dict[str, Any]:
    """Return the options of a task and their defaults, as MONAI Label sends them to clients.

    - ``overlap``: fraction by which windows overlap
    - ``threshold``: probability above which a pixel is foreground
    - ``mirror``: average over mirrored images (test-time augmentation); of volumes, left and right are mirrored alone
    - ``largest_component``: keep the largest connected component of every structure
    - ``consecutive_values``: see :data:`CONSECUTIVE`; for label maps with other values
    """
    config = task.config
    options: dict[str, Any] = {name: config[name] for name in (OVERLAP, THRESHOLD) if name in config}
    if "mirror_axes" in config:
        options[MIRROR] = bool(config["mirror_axes"])
    if "single_region" in config or SAVE_LABELS in _targets(config):
        options[LARGEST] = bool(config.get("single_region", False))
    values = list(task.all_labels.values())
    if task.kind == VOLUME and values != list(range(1, len(values) + 1)):
        options[CONSECUTIVE] = True
    return options


def get_consecutive_values(
    task: LabelTask, request: Mapping[str, Any], label_names: Mapping[str, int]
) -> dict[int, int] | None:
    """Return 1, 2, ... by the values in a label map, in their order; None if a request asks for the values themselves.

    Raises:
        RequestError: 400, if the option is neither true nor false.
    """
    if CONSECUTIVE not in get_panel_options(task) or not read_bool(request, CONSECUTIVE, False):
        return None
    return {value: place for place, value in enumerate(sorted(label_names.values()), start=1)}


def get_overrides(task: LabelTask, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides of ``inference.json`` for a request, by config id.

    Options other than those of :func:`get_panel_options` are ignored.

    Raises:
        RequestError: 400, if a value is invalid.
    """
    defaults = get_panel_options(task)
    requested = {name: request[name] for name in defaults if request.get(name) is not None}
    overrides: dict[str, Any] = {
        name: read_number(requested, name, defaults[name], low=0, below=1)
        for name in (OVERLAP, THRESHOLD)
        if name in requested
    }
    if MIRROR in requested and read_bool(requested, MIRROR, defaults[MIRROR]) != defaults[MIRROR]:
        axes = [0] if task.kind == VOLUME else list(range(len(task.config["roi_size"])))
        overrides["mirror_axes"] = [] if defaults[MIRROR] else axes
    if LARGEST in requested and read_bool(requested, LARGEST, defaults[LARGEST]) != defaults[LARGEST]:
        overrides.update(_largest_component_overrides(task, not defaults[LARGEST]))
    return overrides


def _largest_component_overrides(task: LabelTask, enabled: bool) -> dict[str, Any]:
    if "single_region" in task.config:
        return {"single_region": enabled}
    transforms = list(task.config["postprocessing"]["transforms"])
    step = {
        "_target_": "KeepLargestConnectedComponentd",
        "keys": "pred",
        "applied_labels": list(task.all_labels.values()),
        "is_onehot": False,
        "independent": True,
    }
    transforms.insert(_targets(task.config).index(SAVE_LABELS), step)
    return {"postprocessing#transforms": transforms}


def _targets(config: Mapping[str, Any]) -> list[str]:
    return [step["_target_"] for step in config["postprocessing"]["transforms"]]
