"""Names of the values in a label: the ``label_info`` that clients such as 3D Slicer send with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bundle.utils.label_names import BACKGROUND, IGNORE

from .label_tasks import LabelTask
from .server_errors import RequestError

INFO_KEY = "label_info"
"""Key of the names in the info of a label."""

SHOWN = 8
"""Largest number of structures of a task in a message."""


def read_label_info(info: Mapping[str, Any], display_name: str) -> dict[int, str]:
    """Return the names of the values in a label except 0; empty if none are declared.

    Args:
        info: info of the label. Its ``label_info`` is a list ``[{"name": "anterior", "idx": 1}, ...]`` or a dictionary
            ``{"anterior": 1}``. An entry without ``idx`` has its place in the list, from 1 on, as in MONAI Label.
        display_name: name of the label in error messages.

    Raises:
        RequestError: 400, if it has another form, or two names share a value.
    """
    declared = info.get(INFO_KEY) or []
    if isinstance(declared, Mapping):
        declared = [{"name": name, "idx": value} for name, value in declared.items()]
    names: dict[int, str] = {}
    for place, entry in enumerate(declared if isinstance(declared, list) else [declared], start=1):
        name, value = _read_entry(entry, place, display_name)
        if names.setdefault(value, name) != name:
            raise RequestError(
                400,
                f"{display_name}: label_info gives the value {value} to {names[value]!r} and to {name!r}; "
                "take it from one.",
            )
    names.pop(0, None)
    return names


def _read_entry(entry: Any, place: int, display_name: str) -> tuple[str, int]:
    fields = entry if isinstance(entry, Mapping) else {}
    name, value = fields.get("name"), str(fields.get("idx", place))
    is_background = isinstance(name, str) and normalize(name) == BACKGROUND
    number = int(value) if re.fullmatch(r"\d{1,4}", value) else -1
    if not isinstance(name, str) or number < (0 if is_background else 1):
        raise RequestError(
            400,
            f"{display_name}: label_info contains {entry!r}; an entry is a name and a value from 1 on, such as "
            '{"name": "anterior", "idx": 1}; the background is 0.',
        )
    return name, number


def normalize(name: str) -> str:
    """Return a name in lower case, with single spaces in the place of underscores and spaces.

    Examples:
        >>> normalize(" Seborrheic_Keratosis")
        'seborrheic keratosis'
    """
    return " ".join(name.replace("_", " ").casefold().split())


def match_names(names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the known name of every name that has one; case, spaces and underscores may differ."""
    by_normalized = {normalize(name): name for name in known}
    return {name: by_normalized[normalize(name)] for name in names if normalize(name) in by_normalized}


def make_label_table(names: Mapping[int, str], task: LabelTask) -> dict[str, list[int]]:
    """Return the values of every structure of a task, for :class:`bundle.io.LoadVolumed`, from the names of a label.

    Structures of other tasks are background. ``ignore`` names voxels that nobody labeled, if the task can ignore some.

    Args:
        names: names by value, see :func:`read_label_info`.
        task: the task.

    Returns:
        Values by name of the structure, and those of the background and of ignored voxels; empty if no name is that of
        a structure.
    """
    known = match_names(names.values(), task.all_labels)
    table: dict[str, list[int]] = {}
    for value, name in names.items():
        if name in known:
            table.setdefault(known[name], []).append(value)
    others = {value: name for value, name in names.items() if name not in known}
    ignored = [value for value, name in others.items() if task.ignore_value and normalize(name) == IGNORE]
    special = {BACKGROUND: [value for value in others if value not in ignored], IGNORE: ignored}
    return {**table, **{name: values for name, values in special.items() if values}} if table else {}


def describe_structures(tasks: Iterable[LabelTask]) -> str:
    """Return the structures of tasks and their values, for messages."""
    shown = []
    for task in tasks:
        names = [f"{name} = {value}" for name, value in zip(task.all_labels, task.levels, strict=True)]
        more = [*(["..."] if len(names) > SHOWN else []), *([IGNORE] if task.ignore_value else [])]
        shown.append(f"{', '.join(names[:SHOWN] + more)} ({task.name})")
    return "; ".join(shown)
